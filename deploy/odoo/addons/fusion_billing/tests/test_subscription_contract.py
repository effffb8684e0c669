from datetime import date

from freezegun import freeze_time

from odoo.tests import tagged

from .common import FusionBillingCase


@tagged("post_install", "-at_install", "subscription_contract")
class TestSubscriptionContract(FusionBillingCase):
    """What this addon takes for granted of `sale_subscription`.

    Written against what both Enterprise's addon and the development stand-in offer, so that the same tests tell on a
    licensed database whether the assumptions hold there: `--test-tags subscription_contract`.
    """

    def setUp(self):
        super().setUp()
        lines = [{"product_id": self.recurring_product(50).id, "quantity": "1"}]
        self.flat = self._subscribe("flat", start_date="2026-11-01", lines=lines)

    def _run_cron(self, day):
        with freeze_time(day):
            self.env["sale.order"]._cron_recurring_create_invoice()
        self.env.invalidate_all()
        return self.flat.invoice_ids.filtered(lambda move: move.move_type == "out_invoice").sorted("id")

    def _owe(self, amount, offset=1, **values):
        return self.upsert_one(amount, offset, subscription="flat", **values)

    def test_confirmed_subscription_is_in_progress(self):
        self.assertTrue(self.flat.is_subscription)
        self.assertEqual((self.flat.state, self.flat.subscription_state), ("sale", "3_progress"))
        self.assertEqual(self.flat.next_invoice_date, date(2026, 11, 1))

    def test_overage_line_is_billed_once_with_the_next_period(self):
        self.assertEqual(self._run_cron("2026-11-01").mapped("amount_untaxed"), [50])
        self.assertEqual(self.flat.next_invoice_date, date(2026, 12, 1))
        self._owe("100.00")
        self.assertEqual(self._run_cron("2026-11-15").mapped("amount_untaxed"), [50], "not before it is due")
        self.assertEqual(self._run_cron("2026-12-01").mapped("amount_untaxed"), [50, 150])
        self.assertEqual(self._run_cron("2027-01-01").mapped("amount_untaxed"), [50, 150, 50])
        self.assertEqual(set(self.flat.invoice_ids.mapped("state")), {"posted"})

    def test_paused_and_closed_subscriptions_are_not_invoiced(self):
        self._run_cron("2026-11-01")
        self._owe("100.00")
        self.flat.subscription_state = "4_paused"
        self.assertEqual(len(self._run_cron("2026-12-01")), 1)
        self.flat.subscription_state = "3_progress"
        self.flat.set_close()
        self.assertEqual(self.flat.subscription_state, "6_churn")
        self.assertEqual(len(self._run_cron("2026-12-02")), 1)

    def test_draft_invoice_holds_the_subscription_up(self):
        draft = self.flat._create_invoices()
        self.assertLessEqual(len(self._run_cron("2026-12-01") - draft), 0)

    def test_reopened_subscription_is_in_progress(self):
        self.flat.set_close()
        self.flat.reopen_order()
        self.assertEqual(self.flat.subscription_state, "3_progress")

    def test_plan_tells_its_recurrence(self):
        self.assertEqual((self.plan.billing_period_value, self.plan.billing_period_unit), (1, "month"))
