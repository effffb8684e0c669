from contextlib import suppress
from unittest.mock import patch

from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceCase


@tagged("post_install", "-at_install")
class TestPayments(InvoiceCase):
    """Collecting an invoice with the saved payment method, never twice."""

    def setUp(self):
        super().setUp()
        if self.env["ir.module.module"]._get("payment_demo").state != "installed":
            self.skipTest("payment_demo is not installed")
        self.provider = self.env.ref("payment.payment_provider_demo")
        self.provider.write({"state": "test", "allow_tokenization": True})
        self.token = self.env["payment.token"].create(
            {
                "provider_id": self.provider.id,
                "payment_method_id": self.env["payment.method"].search([("code", "=", "demo")], limit=1).id,
                "partner_id": self.invoice.partner_id.id,
                "provider_ref": "saved",
                "payment_details": "1234",
                "demo_simulated_state": "done",
            }
        )

    def _retry(self, **arguments):
        answer = self._on_invoice("fc_retry_payment", **arguments)
        return answer.get("payment_state") or answer["field"]

    @property
    def attempts(self):
        return self.invoice.transaction_ids

    def test_failed_then_paid(self):
        self.token.demo_simulated_state = "error"
        failed = self._on_invoice("fc_retry_payment")
        self.assertEqual((failed["payment_state"], failed["invoice"]["payment_state"]), ("error", "not_paid"))
        self.assertEqual(self.events()[-1], "invoice.payment_failed")
        self.token.demo_simulated_state = "done"
        paid = self._on_invoice("fc_retry_payment")
        self.assertEqual(paid["payment_state"], "done")
        self.assertIn(paid["invoice"]["payment_state"], ("paid", "in_payment"))
        self.assertEqual(self.events()[-1], "invoice.paid")
        self.assertEqual(self._retry(), "invoice_id", "nothing is due any more")
        self.assertEqual(len(self.attempts), 2)

    def test_without_a_saved_method(self):
        self.token.active = False
        self.assertIn("no saved payment method", self._on_invoice("fc_retry_payment")["error"])
        self.token.active = True
        self.provider.state = "disabled"
        self.assertIn("no saved payment method", self._on_invoice("fc_retry_payment")["error"])

    def test_attempt_under_way_is_answered_and_not_doubled(self):
        self.token.demo_simulated_state = "pending"
        self.assertEqual((self._retry(), self._retry()), ("pending", "pending"))
        self.assertEqual(len(self.attempts), 1)
        self.attempts._set_error("refused after all")
        self.token.demo_simulated_state = "done"
        self.assertEqual(self._retry(), "done")

    def test_collected_payment_that_is_not_booked_yet_is_not_collected_again(self):
        closed = patch.object(type(self.attempts), "_post_process", side_effect=UserError("closed period"))
        with closed, mute_logger("odoo.addons.fusion_billing.models.fusion_billing_api_payments"):
            self.assertEqual((self._retry(), self._retry()), ("done", "done"))
            self.assertEqual(len(self.attempts), 1)
        self.assertEqual(self._retry(), "done", "booked now")
        self.assertFalse(self.invoice.amount_residual)
        self.assertEqual(len(self.attempts), 1)

    def test_attempt_that_was_cut_off_keeps_its_reference(self):
        asked = []
        transactions = type(self.attempts)

        def cut_off(transaction):
            asked.append(transaction.reference)
            raise ConnectionError

        # Not assertRaises, which would roll back what the call has committed by then.
        with patch.object(transactions, "_send_payment_request", cut_off), suppress(ConnectionError):
            self._retry()
        self.assertEqual(self.attempts.state, "draft")
        self.assertEqual(self._retry(), "done")
        self.assertEqual(self.attempts.mapped("reference"), asked)

    def test_same_request_is_asked_once_however_it_ended(self):
        self.token.demo_simulated_state = "error"
        self.assertEqual((self._retry(request_id="r1"), self._retry(request_id="r1")), ("error", "error"))
        self.token.demo_simulated_state = "done"
        self.assertEqual(self._retry(request_id="r1"), "error")
        self.assertEqual(self._retry(request_id="r2"), "done")
        self.assertEqual(self._retry(request_id="r2"), "done", "also once the invoice is paid")
        self.assertEqual(len(self.attempts), 2)
        self.assertEqual(self._retry(request_id="x" * 300), "request_id")

    def test_page_that_a_customer_left_open_holds_nothing_up(self):
        values = {
            "provider_id": self.provider.id,
            "payment_method_id": self.token.payment_method_id.id,
            "amount": self.invoice.amount_residual,
            "currency_id": self.invoice.currency_id.id,
            "partner_id": self.invoice.partner_id.id,
            "invoice_ids": [(6, 0, self.invoice.ids)],
            "operation": "online_redirect",
        }
        self.env["payment.transaction"].create({**values, "reference": "page"})
        self.assertEqual(self._retry(), "done")
