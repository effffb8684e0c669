from datetime import timedelta

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import FusionBillingCase

DECEMBER = {"period_start": "2026-12-01T00:00:00Z", "period_end": "2027-01-01T00:00:00Z"}


@tagged("post_install", "-at_install")
class TestPolicy(FusionBillingCase):
    """What becomes of usage once its subscription or its line is no longer as the pipeline left it."""

    def _reverse(self, invoice, post=True):
        wizard = self.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        action = wizard.create({"journal_id": invoice.journal_id.id}).refund_moves()
        note = self.env["account.move"].browse(action["res_id"])
        if post:
            note.action_post()
        return note

    def _renew(self, order=None):
        order = order or self.order
        renewal = self.env["sale.order"].browse(order.prepare_renewal_order()["res_id"])
        renewal.action_confirm()
        self.env.flush_all()
        return renewal

    def _final(self, order=None):
        return self.env["sale.order"].search([("x_fc_final_for_id", "=", (order or self.order).id)])

    def _credits(self):
        return self.env["fusion.billing.credit"].search([("subscription_id", "=", self.order.id)])

    def _let_the_grace_pass(self):
        self.env.flush_all()
        past = fields.Datetime.now() - timedelta(days=2)
        self.cr.execute("UPDATE sale_order_line SET write_date = %s", [past])
        self.cr.execute("UPDATE fusion_billing_credit SET write_date = %s", [past])
        self.env.invalidate_all()

    # Closed

    def test_usage_after_the_end_is_billed_by_a_final_order(self):
        self.order.set_close()
        result = self.upsert_one("100.00")
        final = self._final()
        self.assertEqual((result["status"], result["order_id"]), ("created", final.id))
        self.assertEqual((final.state, final.plan_id, final.x_fc_service_id), ("sale", final.plan_id[:0], self.service))
        self.assertEqual(self.upsert_one("130.00", 2)["status"], "updated")
        self.assertEqual(self.upsert_one("130.00", 2)["order_id"], final.id)
        self.assertEqual(self._final(), final, "one final order")
        invoice = final._create_invoices()
        self.assertEqual((invoice.amount_untaxed, invoice.x_fc_subscription_id), (130, self.order))

    def test_line_left_on_a_closed_order_moves_to_the_final_order(self):
        self.upsert_one("100.00")
        self.order.set_close()
        self.env["sale.order"]._cron_fc_settle_closed()
        final = self._final()
        self.assertEqual((self.lines().price_unit, self.lines(final).price_unit), (0, 100))
        self.assertEqual(self.lines(final).x_fc_revision, 2)
        self.assertEqual(self.upsert_one("100.00", 2)["status"], "unchanged")
        self.assertEqual(self.upsert_one("70.00", 3)["status"], "updated")
        self.assertEqual(self.lines(final).price_unit, 70)
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertFalse(final.invoice_ids, "late usage may still come")
        self._let_the_grace_pass()
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertEqual((final.invoice_ids.state, final.invoice_ids.amount_untaxed), ("posted", 70))
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertEqual(len(final.invoice_ids), 1)

    def test_reopened_subscription_takes_its_usage_back(self):
        self.order.set_close()
        self.upsert_one("100.00")
        self.order.reopen_order()
        self.assertEqual(self.upsert_one("120.00", 2)["order_id"], self.order.id)
        self.assertEqual(sum(self.lines().mapped("price_unit")), 120)
        self.assertEqual(sum(self.lines(self._final()).mapped("price_unit")), 0)

    # Cancelled

    def test_cancelled_order_bills_nothing_and_says_so(self):
        self.upsert_one("100.00")
        self.order._action_cancel()
        self.env.cr.flush()
        self.assertEqual(self.usage().state, "parked")
        self.assertIn("its state is cancel", self.usage().error)
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertFalse(self._final())
        self.assertEqual(self.upsert_one("130.00", 2)["status"], "parked")
        self.assertEqual(self.order.order_line.mapped("qty_to_invoice"), [0] * len(self.order.order_line))

    def test_order_that_goes_on_after_all_bills_what_it_counted(self):
        self.upsert_one("100.00")
        self.order._action_cancel()
        self.env.cr.flush()
        self.assertEqual(self.usage().state, "parked")
        self.order.action_draft()
        self.order.action_confirm()
        self.env.cr.flush()
        self.assertEqual((self.usage().state, self.usage().error), ("open", False))
        self.order.set_close()
        self.assertEqual(self.upsert_one("130.00", 2)["order_id"], self._final().id, "closed instead of cancelled")

    def test_credit_of_a_cancelled_order_is_given_back(self):
        self.upsert_one("100.00")
        self.freeze().action_post()
        self.upsert_one("60.00", 2)
        self.order._action_cancel()
        self.env.cr.flush()
        self._let_the_grace_pass()
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertEqual(self._credits().refund_id.amount_untaxed, 40)

    # Renewed

    def test_renewal_is_the_subscription_that_the_app_knows(self):
        self.order.x_fc_time_zone = "America/Halifax"
        renewal = self._renew()
        self.assertEqual((renewal.x_fc_external_id, renewal.x_fc_service_id), ("sub/1", self.service))
        self.assertEqual(renewal._fc_time_zone(), "America/Halifax")
        self.assertFalse(self.order.x_fc_external_id)
        self.assertEqual(renewal._fc_anchor(), fields.Date.to_date("2026-11-01"))
        records = {record["key"]: record["value"] for record in self.api.fc_catalog()["records"]}
        self.assertNotIn(f"subscription/{self.order.id}", records)
        self.assertEqual(records[f"subscription/{renewal.id}"]["external_id"], "sub/1")
        page = self.api.fc_catalog(since="2020-01-01T00:00:00Z")
        self.assertIn({"key": f"subscription/{self.order.id}", "value": None}, page["records"])

    def test_late_usage_of_a_renewed_subscription_goes_to_its_successor(self):
        self.upsert_one("100.00")
        self.freeze().action_post()
        renewal = self._renew(self._renew())
        self.assertEqual(self.order.subscription_state, "5_renewed")
        result = self.upsert_one("130.00", 2)
        self.assertEqual((result["status"], result["order_id"], result["revision"]), ("created", renewal.id, 2))
        self.assertEqual(self.lines(renewal).price_unit, 30)
        self.assertEqual(self.upsert_one("130.00", 2)["status"], "unchanged")

    def test_line_stranded_on_a_renewed_order_moves_on(self):
        self.upsert_one("100.00")
        renewal = self._renew()
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertTrue(self.order.locked)
        self.assertEqual((self.lines().price_unit, self.lines(renewal).price_unit), (0, 100))
        self.assertEqual(self.upsert_one("150.00", 2)["status"], "updated")
        self.assertEqual(self.lines(renewal).price_unit, 150)

    def test_credit_of_a_renewed_order_is_used_on_its_successor(self):
        self.upsert_one("100.00")
        self.freeze().action_post()
        self.assertEqual(self.upsert_one("60.00", 2)["status"], "credited")
        renewal = self._renew()
        self.assertEqual(self.upsert_one("50.00", 3, **DECEMBER)["status"], "created")
        self.assertEqual(self.lines(renewal).price_unit, 10)

    # Paused

    def test_usage_of_a_paused_subscription_waits_on_its_order(self):
        self.order.pause_subscription()
        self.assertEqual(self.upsert_one("100.00")["status"], "created")
        with self.assertRaises(UserError):
            self.order.action_invoice_subscription()
        self.order.resume_subscription()
        invoice = self.env["account.move"].browse(self.order.action_invoice_subscription())
        self.assertEqual(invoice.amount_untaxed, 100)

    # Credit notes

    def test_credited_line_is_not_billed_again(self):
        self.upsert_one("100.00")
        invoice = self.freeze()
        invoice.action_post()
        note = self._reverse(invoice, post=False)
        self.assertEqual((self.lines().qty_invoiced, self.lines().qty_to_invoice), (1, 0), "a draft counts as well")
        note.action_post()
        self.assertEqual((self.lines().qty_invoiced, self.lines().qty_to_invoice), (1, 0))
        self.assertEqual(self.upsert_one("100.00", 2)["status"], "unchanged")
        self.assertEqual(self.upsert_one("120.00", 3)["status"], "created")
        self.assertEqual(self.lines().mapped("price_unit"), [100, 20])
        self.assertEqual(self.freeze().amount_untaxed, 20)

    def test_what_was_credited_is_not_credited_again_when_usage_falls(self):
        self.upsert_one("100.00")
        invoice = self.freeze()
        invoice.action_post()
        self._reverse(invoice)
        self.assertEqual(self.upsert_one("60.00", 2)["status"], "unchanged")
        self.assertFalse(self._credits())
        self.upsert_one("130.00", 3)
        self.assertEqual(self.lines().mapped("price_unit"), [100, 30])

    def test_invoice_made_anew_bills_once(self):
        self.upsert_one("100.00")
        invoice = self.freeze()
        invoice.action_post()
        wizard = self.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizard.create({"journal_id": invoice.journal_id.id}).modify_moves()
        self.assertEqual((self.lines().qty_invoiced, self.lines().qty_to_invoice), (1, 0))

    def test_withdrawn_invoice_is_billed_by_the_next(self):
        self.upsert_one("100.00")
        invoice = self.freeze()
        invoice.button_cancel()
        self.assertEqual((self.lines().qty_invoiced, self.lines().qty_to_invoice), (0, 1))
        self.assertEqual(self.upsert_one("110.00", 2)["status"], "updated")

    def _owe(self, amount):
        self.upsert_one("100.00")
        self.freeze().action_post()
        self.upsert_one(amount, 2)
        return self._credits()

    def test_pending_credit_is_given_back_by_a_credit_note_on_demand(self):
        credit = self._owe("60.00")
        note = self.env["account.move"].search(credit.action_make_credit_note()["domain"])
        self.assertEqual((note.move_type, note.state, note.amount_untaxed), ("out_refund", "posted", 40))
        if self.company.chart_template == "ca_2023":
            self.assertEqual(note.amount_total, 45.2)
        self.assertEqual((credit.state, credit.refund_id, note.x_fc_subscription_id), ("used", note, self.order))
        self.assertEqual(self.lines().qty_invoiced, 1)
        self.assertEqual(self.upsert_one("60.00", 3)["status"], "unchanged")
        self.assertEqual(self.upsert_one("90.00", 4)["status"], "created")
        self.assertEqual(self.lines().mapped("price_unit"), [100, 30])

    def test_credit_that_nothing_can_use_up_is_given_back_after_the_grace(self):
        credit = self._owe("60.00")
        self.order.set_close()
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertEqual(credit.state, "pending", "late usage may still use it up")
        self._let_the_grace_pass()
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertEqual((credit.state, credit.refund_id.amount_untaxed), ("used", 40))

    def test_service_may_give_credits_back_at_once(self):
        credit = self._owe("60.00")
        self._let_the_grace_pass()
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertEqual(credit.state, "pending")
        self.service.credit_policy = "credit_note"
        self.env["sale.order"]._cron_fc_settle_closed()
        self.assertEqual(credit.state, "used")

    # Changed by hand

    def test_line_changed_by_hand_is_seen_and_kept(self):
        self.upsert_one("100.00")
        self.lines().price_unit = 80
        for row in (("100.00", 1), ("100.00", 2), ("130.00", 3)):
            result = self.upsert_one(*row)
            self.assertEqual((result["status"], result["amount"]), ("parked", "80.00"))
            self.assertIn("by hand from 100.00 to 80.00", result["error"])
        self.assertEqual((self.lines().price_unit, self.usage().state), (80, "parked"))

    def test_accepted_change_stands_and_later_usage_comes_on_top(self):
        self.upsert_one("100.00")
        self.lines().discount = 20
        self.upsert_one("100.00", 2)
        self.usage().action_accept_changes()
        self.assertEqual((self.usage().waived, self.usage().state), (20, "open"))
        self.assertEqual(self.upsert_one("100.00", 3)["status"], "unchanged")
        result = self.upsert_one("130.00", 4)
        self.assertEqual((result["status"], result["amount"]), ("updated", "130.00"))
        self.assertEqual((self.lines().price_unit, self.lines().discount), (110, 0))

    def test_undone_change_is_the_pipeline_s_amount_again(self):
        self.upsert_one("100.00")
        self.lines().product_uom_qty = 3
        self.assertEqual(self.upsert_one("100.00", 2)["status"], "parked")
        self.usage().action_undo_changes()
        self.assertEqual((self.lines().product_uom_qty, self.lines().price_unit), (1, 100))
        self.assertEqual(self.upsert_one("100.00", 3)["status"], "unchanged")

    def test_change_that_is_invoiced_cannot_be_undone(self):
        self.upsert_one("100.00")
        self.lines().price_unit = 80
        self.freeze()
        with self.assertRaises(UserError):
            self.usage().action_undo_changes()
        self.usage().action_accept_changes()
        self.assertEqual(self.upsert_one("130.00", 2)["status"], "created")
        self.assertEqual(self.lines().mapped("price_unit"), [80, 30])

    # Totals

    def test_negative_total_owes_nothing(self):
        self.assertEqual(self.upsert_one("0", total="-5000", billable_units="0", batches="0")["status"], "nothing")
        self.assertEqual((self.usage().quantity, self.usage().state), (-5000, "included"))

    def test_usage_lowered_to_nothing_leaves_no_invoice(self):
        self.upsert_one("100.00")
        self.upsert_one("0", 2)
        self.assertEqual(self.order.action_invoice_subscription(), [])
        self.assertFalse(self.order.invoice_ids)

    def test_three_periods(self):
        """Usage, invoice with HST, late counter, correction down, credit used, credit note, cancelled in mid-period."""
        hst = 13 if self.company.chart_template == "ca_2023" else None
        invoices = []

        def bill(order=None):
            made = self.env["account.move"].browse((order or self.order).action_invoice_subscription())
            invoices.append(made)
            return made.amount_untaxed

        self.upsert_one("100.00", 1)
        self.assertEqual(bill(), 100)
        if hst:
            self.assertEqual(invoices[0].amount_total, 113)
        self.assertEqual(self.upsert_one("140.00", 2)["revision"], 2)
        self.upsert_one("50.00", 3, **DECEMBER)
        self.assertEqual(bill(), 90, "the late 40 of November and December's 50")
        self.assertEqual(self.upsert_one("110.00", 4)["status"], "credited")
        january = {"period_start": "2027-01-01T00:00:00Z", "period_end": "2027-02-01T00:00:00Z"}
        self.upsert_one("20.00", 5, **january)
        self.assertEqual(bill(), 0, "20 of the 30 credit; a free period moves on without invoice")
        self._reverse(invoices[1])
        self.upsert_one("60.00", 6, **DECEMBER)
        self.upsert_one("25.00", 7, **january)
        self.order.set_close()
        self.env["sale.order"]._cron_fc_settle_closed()
        self.upsert_one("45.00", 8, **january)
        final = self._final()
        self.assertEqual(final._create_invoices().amount_untaxed, 25, "10 of December's rise were credit")
        billed = sum(self.env["account.move"].union(*invoices, final.invoice_ids).mapped("amount_untaxed"))
        self.assertEqual(billed, 110 + 60 + 45, "each cent once")
        self.assertEqual(sum(self._credits().mapped("amount_pending")), 0)
