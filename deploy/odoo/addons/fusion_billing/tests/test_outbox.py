from datetime import timedelta

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestOutbox(FusionBillingCase):
    def _invoice(self):
        self.upsert_one("100.00")
        invoice = self.freeze()
        invoice.action_post()
        return invoice

    def _pay(self, invoice):
        wizard = self.env["account.payment.register"].with_context(active_model="account.move", active_ids=invoice.ids)
        wizard.create({}).action_create_payments()

    def _transaction(self, invoice, reference):
        if self.env["ir.module.module"]._get("payment_demo").state != "installed":
            self.skipTest("payment_demo is not installed")
        provider = self.env.ref("payment.payment_provider_demo")
        if provider.state == "disabled":
            provider.state = "test"
        return self.env["payment.transaction"].create(
            {
                "provider_id": provider.id,
                "payment_method_id": self.env["payment.method"].search([("code", "=", "demo")], limit=1).id,
                "amount": invoice.amount_total,
                "currency_id": invoice.currency_id.id,
                "partner_id": invoice.partner_id.id,
                "invoice_ids": [(6, 0, invoice.ids)],
                "reference": reference,
                "operation": "online_direct",
            }
        )

    def test_subscription_s_life_is_told(self):
        self.assertEqual(self.events(), ["subscription.started"])
        self.order.pause_subscription()
        self.env.cr.flush()
        self.order.resume_subscription()
        self.env.cr.flush()
        self.order.set_close()
        self.assertEqual(
            self.events(),
            ["subscription.started", "subscription.paused", "subscription.resumed", "subscription.terminated"],
        )

    def test_cancelling_ends_the_subscription_once(self):
        self.order._action_cancel()
        self.env.cr.flush()
        self.order.set_close()
        self.assertEqual(self.events(), ["subscription.started", "subscription.terminated"])

    def test_invoice_is_posted_and_paid_once(self):
        invoice = self._invoice()
        self.assertEqual(self.events()[1:], ["invoice.posted"])
        self._pay(invoice)
        self.assertEqual(self.events()[1:], ["invoice.posted", "invoice.paid"])
        invoice.ref = "touched"
        invoice.write({"payment_state": invoice.payment_state})
        self.assertEqual(self.events()[1:], ["invoice.posted", "invoice.paid"])

    def test_event_tells_invoice_and_amounts_exactly(self):
        invoice = self._invoice()
        self.env.cr.flush()
        event = self.api.fc_outbox_read(limit=1000)[-1]
        self.assertEqual(
            (event["type"], event["service"], event["subscription"], event["customer"]),
            ("invoice.posted", "test-maps", "sub/1", "c1"),
        )
        self.assertEqual(event["data"]["invoice_number"], invoice.name)
        self.assertEqual(event["data"]["amount_untaxed"], "100.00")
        self.assertEqual(event["data"]["amount_total"], f"{invoice.amount_total:.2f}")
        self.assertTrue(event["time"].endswith("Z"))

    def test_failed_payment_then_paid(self):
        invoice = self._invoice()
        transaction = self._transaction(invoice, "test-fails")
        transaction.action_demo_set_error()
        self.assertEqual(self.events()[1:], ["invoice.posted", "invoice.payment_failed"])
        event = self.api.fc_outbox_read(limit=1000)[-1]
        self.assertEqual(event["data"]["invoice_number"], invoice.name)
        self.assertEqual(event["data"]["amount_total"], f"{invoice.amount_total:.2f}")
        self.assertTrue(event["data"]["reason"])
        second = self._transaction(invoice, "test-works")
        second.action_demo_set_done()
        self.env.cr.flush()
        second._post_process()
        self.assertEqual(self.events()[1:], ["invoice.posted", "invoice.payment_failed", "invoice.paid"])

    def test_failure_of_a_deleted_draft_is_told_by_its_order(self):
        self.upsert_one("100.00")
        transaction = self._transaction(self.freeze(), "test-deleted")
        transaction.sale_order_ids = self.order
        transaction.action_demo_set_error()
        transaction.invoice_ids.unlink()
        self.assertEqual(self.events()[1:], ["invoice.payment_failed"])

    def test_reactivated_and_renewed(self):
        self.order.set_close()
        self.env.cr.flush()
        self.order.reopen_order()
        self.assertEqual(self.events()[1:], ["subscription.terminated", "subscription.reactivated"])
        renewal = self.env["sale.order"].browse(self.order.prepare_renewal_order()["res_id"])
        renewal.action_confirm()
        self.assertEqual(self.events(renewal), ["subscription.renewed"])
        self.assertEqual(self.events()[3:], [])
        event = self.api.fc_outbox_read(limit=1000)[-1]
        self.assertEqual((event["type"], event["subscription"]), ("subscription.renewed", "sub/1"))

    def test_credit_note_and_void(self):
        invoice = self._invoice()
        wizard = self.env["account.move.reversal"].with_context(active_model="account.move", active_ids=invoice.ids)
        note = self.env["account.move"].browse(
            wizard.create({"journal_id": invoice.journal_id.id}).refund_moves()["res_id"]
        )
        self.assertEqual(self.events()[1:], ["invoice.posted"])
        note.action_post()
        self.assertEqual(self.events()[1:], ["invoice.posted", "credit_note.posted"])
        event = self.api.fc_outbox_read(limit=1000)[-1]
        self.assertEqual((event["data"]["reversed_invoice_id"], event["subscription"]), (invoice.id, "sub/1"))
        other = self._subscribe("sub/2")
        self.upsert(self.overage("20.00", subscription="sub/2"))
        second = self.freeze(other)
        second.action_post()
        self.assertEqual(self.events(other)[1:], ["invoice.posted"])
        second.button_draft()
        self.assertEqual(self.events(other)[1:], ["invoice.posted"])
        second.button_cancel()
        self.assertEqual(self.events(other)[1:], ["invoice.posted", "invoice.voided"])

    def test_draft_that_is_thrown_away_was_never_told(self):
        self.upsert_one("100.00")
        self.freeze().button_cancel()
        self.assertEqual(self.events()[1:], [])

    def test_published_events_go_after_thirty_days(self):
        self.events()
        events = self.env["fusion.billing.event"].search([])
        self.api.fc_outbox_ack(ids=events.ids)
        self.env["fusion.billing.event"]._gc_published()
        self.assertEqual(events.exists(), events)
        events.published_at = fields.Datetime.now() - timedelta(days=31)
        events[:1].published = False
        self.env["fusion.billing.event"]._gc_published()
        self.assertEqual(events.exists(), events[:1], "what nobody acknowledged stays")

    def test_other_invoices_are_not_told(self):
        before = self.env["fusion.billing.event"].search_count([])
        invoice = self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.order.partner_id.id,
                "invoice_line_ids": [(0, 0, {"name": "Other", "price_unit": 5})],
            }
        )
        invoice.action_post()
        self.env.cr.flush()
        self.assertEqual(self.env["fusion.billing.event"].search_count([]), before)

    def test_rolled_back_change_leaves_no_event(self):
        self.events()
        with mute_logger("odoo.sql_db"), self.assertRaises(ZeroDivisionError), self.cr.savepoint():
            self.order.set_close()
            self.env.cr.flush()
            raise ZeroDivisionError
        self.assertEqual(self.events(), ["subscription.started"])

    def test_acknowledged_events_are_not_read_again(self):
        self.events()
        read = self.api.fc_outbox_read(limit=1000)
        self.assertTrue(read)
        self.api.fc_outbox_ack(ids=[event["id"] for event in read])
        self.api.fc_outbox_ack(ids=[event["id"] for event in read])
        self.assertEqual(self.api.fc_outbox_read(), [])
