from datetime import date

from freezegun import freeze_time

from odoo import Command
from odoo.exceptions import UserError, ValidationError
from odoo.tests import TransactionCase, tagged


@tagged("post_install", "-at_install")
class TestSaleSubscription(TransactionCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plan = cls.env["sale.subscription.plan"].create({"name": "Every month"})
        cls.partner = cls.env["res.partner"].create({"name": "Customer"})
        cls.flat = cls._product("Flat fee", 50, recurring_invoice=True)
        cls.single = cls._product("Single", 7, recurring_invoice=False)

    @classmethod
    def _product(cls, name, price, **values):
        return cls.env["product.product"].create(
            {"name": name, "type": "service", "list_price": price, "taxes_id": [Command.clear()], **values}
        )

    def _order(self, products, start="2026-01-31", plan=None):
        return self.env["sale.order"].create(
            {
                "partner_id": self.partner.id,
                "plan_id": (self.plan if plan is None else plan).id,
                "start_date": start,
                "order_line": [Command.create({"product_id": product.id}) for product in products],
            }
        )

    def _running(self, *products, **values):
        order = self._order(products or (self.flat,), **values)
        order.action_confirm()
        return order

    def test_confirmed_subscription_is_in_progress(self):
        order = self._order([self.flat])
        self.assertEqual((order.is_subscription, order.subscription_state), (True, "1_draft"))
        order.action_confirm()
        self.assertEqual((order.state, order.subscription_state), ("sale", "3_progress"))
        self.assertEqual(order.next_invoice_date, date(2026, 1, 31))

    def test_order_without_plan_is_no_subscription(self):
        order = self._order([self.single], plan=self.env["sale.subscription.plan"])
        order.action_confirm()
        self.assertEqual((order.is_subscription, order.subscription_state), (False, False))

    def test_plan_and_recurring_product_belong_together(self):
        with self.assertRaises(UserError):
            self._order([self.single]).action_confirm()
        with self.assertRaises(UserError):
            self._order([self.flat], plan=self.env["sale.subscription.plan"]).action_confirm()

    def test_month_ends_are_clamped_from_the_anchor(self):
        order = self._running()
        dates = []
        for _month in range(4):
            order.action_invoice_subscription()
            dates.append(str(order.next_invoice_date))
        self.assertEqual(dates, ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"])

    def test_recurring_lines_each_period_and_single_lines_once(self):
        order = self._running(self.flat, self.single)
        first = self.env["account.move"].browse(order.action_invoice_subscription())
        second = self.env["account.move"].browse(order.action_invoice_subscription())
        self.assertEqual((first.amount_untaxed, second.amount_untaxed), (57, 50))
        self.assertEqual((first.state, second.state), ("posted", "posted"))
        line = second.invoice_line_ids
        self.assertEqual((line.deferred_start_date, line.deferred_end_date), (date(2026, 2, 28), date(2026, 3, 30)))

    def test_date_moves_when_posted_not_when_drafted(self):
        order = self._running()
        invoice = order._create_invoices()
        self.assertEqual(order.next_invoice_date, date(2026, 1, 31))
        with self.assertRaises(UserError):
            order.action_invoice_subscription()
        invoice.action_post()
        self.assertEqual(order.next_invoice_date, date(2026, 2, 28))

    def test_free_period_moves_the_date_without_invoice(self):
        order = self._running()
        order.order_line.price_unit = 0
        self.assertEqual(order.action_invoice_subscription(), [])
        self.assertEqual(order.next_invoice_date, date(2026, 2, 28))

    def test_negative_total_stops_with_an_exception(self):
        order = self._running()
        order.order_line.price_unit = -5
        self.assertEqual(order.action_invoice_subscription(), [])
        self.assertTrue(order.payment_exception)

    @freeze_time("2026-03-05")
    def test_cron_invoices_what_is_due_and_steps_over_a_bad_order(self):
        due, later = self._running(), self._running(start="2026-03-06")
        bad = self._running()
        bad._create_invoices()
        self.env["sale.order"]._cron_recurring_create_invoice()
        self.assertEqual(due.invoice_ids.mapped("state"), ["posted"])
        self.assertFalse(later.invoice_ids)
        self.assertEqual(bad.invoice_ids.mapped("state"), ["draft"])

    @freeze_time("2026-03-05")
    def test_end_date_bills_single_lines_only_and_closes(self):
        order = self._running(self.flat, self.single, start="2026-02-05")
        order.order_line[1].product_uom_qty = 0
        order.action_invoice_subscription()
        order.order_line[1].product_uom_qty = 1
        order.end_date = "2026-03-05"
        self.env["sale.order"]._cron_recurring_create_invoice()
        self.assertEqual(order.subscription_state, "6_churn")
        self.assertEqual(order.invoice_ids.sorted("id")[-1].amount_untaxed, 7)

    def test_closed_paused_and_cancelled_are_not_invoiced(self):
        for close in ("set_close", "pause_subscription", "_action_cancel"):
            order = self._running()
            getattr(order, close)()
            with self.subTest(close), self.assertRaises(UserError):
                order.action_invoice_subscription()

    def test_closed_can_be_reopened(self):
        order = self._running()
        order.set_close()
        self.assertEqual(order.subscription_state, "6_churn")
        order.reopen_order()
        self.assertEqual((order.subscription_state, order.end_date), ("3_progress", False))

    def test_impossible_states_are_refused(self):
        with self.assertRaises(ValidationError):
            self._running().subscription_state = "1_draft"
        with self.assertRaises(ValidationError):
            self._order([self.flat]).subscription_state = "3_progress"
        with self.assertRaises(ValidationError):
            self._running().next_invoice_date = "2025-01-01"

    def test_renewal_takes_over_recurring_lines_only(self):
        order = self._running(self.flat, self.single)
        order.action_invoice_subscription()
        order.order_line.filtered(lambda line: not line.recurring_invoice).product_uom_qty = 2
        renewal = self.env["sale.order"].browse(order.prepare_renewal_order()["res_id"])
        self.assertEqual((renewal.subscription_state, renewal.state), ("2_renewal", "draft"))
        self.assertEqual(order.subscription_state, "3_progress", "until the renewal is confirmed")
        renewal.action_confirm()
        self.assertEqual((renewal.subscription_state, order.subscription_state), ("3_progress", "5_renewed"))
        self.assertTrue(order.locked)
        self.assertEqual(order.subscription_child_ids, renewal)
        self.assertEqual(renewal.order_line.product_id, self.flat)
        self.assertEqual((renewal.start_date, renewal.next_invoice_date), (date(2026, 2, 28), date(2026, 2, 28)))
        with self.assertRaises(UserError):
            order.action_invoice_subscription()
