from odoo import fields, models

from ..lib.numbers import money


class PaymentTransaction(models.Model):
    _name = "payment.transaction"
    _inherit = ["payment.transaction", "fusion.billing.outbox.mixin"]

    x_fc_request_id = fields.Char(
        string="Request ID", copy=False, readonly=True, help="The app's own id of its request for this payment."
    )

    def _fc_watched_fields(self):
        return frozenset({"state"})

    def _fc_announce(self):
        """Announce failures. The transaction is watched, not the invoice, which may be deleted when a payment fails."""
        for transaction in self.filtered(lambda transaction: transaction.state != transaction.x_fc_announced):
            if transaction.state == "error":
                transaction._fc_announce_failure()
            transaction.x_fc_announced = transaction.state

    def _fc_announce_failure(self):
        self.ensure_one()
        emit = self.env["fusion.billing.event"]._fc_emit
        failure = {
            "reason": self.state_message or None,
            "payment_reference": self.reference,
            "payment_amount": money(self.amount, self.currency_id),
        }
        invoices = self.invoice_ids.filtered(lambda move: move.x_fc_service_id or move._fc_subscription())
        for invoice in invoices:
            invoice._fc_emit("invoice.payment_failed", **failure)
        for order in (self.sale_order_ids - invoices._fc_subscriptions()).filtered("x_fc_service_id"):
            without_invoice = {
                "invoice_id": None,
                "invoice_number": None,
                "amount_total": money(self.amount, self.currency_id),
                "currency": self.currency_id.name,
            }
            emit("invoice.payment_failed", order, {**without_invoice, **failure})
