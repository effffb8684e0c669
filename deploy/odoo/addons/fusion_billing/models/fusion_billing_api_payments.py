import logging
import uuid

from odoo import Command, api, fields, models, modules
from odoo.exceptions import UserError

from .fusion_billing_api import RowError

_logger = logging.getLogger(__name__)

# Asked for and not decided, or decided and not in the books yet: asking again might collect twice.
UNDER_WAY = ("pending", "authorized", "done")


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_retry_payment(self, service, invoice_id, request_id=None):
        """Try once more to collect an unpaid invoice with the customer's saved payment method.

        While an attempt is under way there is no second one: the call is answered with how that one stands. So is a
        request that was made before under the same `request_id`, however its attempt ended. An attempt that was cut off
        is taken up again under its own reference, by which payment providers know a request that comes twice.

        Returns:
            ``{status: "ok", invoice, payment_state}``, the latter the transaction's state.
        """
        api_su = self._fc_enter()
        attempts = []
        refused = api_su._fc_answer(lambda: attempts.append(api_su._fc_attempt(service, invoice_id, request_id)) or {})
        if not attempts:
            return refused
        [(move, transaction)] = attempts
        if transaction.state == "draft":
            self._fc_ask(transaction)
        if transaction.state == "done" and not transaction.is_post_processed:
            self._fc_post_process(transaction)
        return {"status": "ok", **api_su._fc_told(move), "payment_state": transaction.state}

    @api.model
    def _fc_ask(self, transaction):
        """Ask the payment provider, unless another call does so at this moment: that one is told to come again."""
        # Kept before the provider is asked: what happens from here on must not be forgotten with this call.
        self._fc_commit()
        # The commit gave up the lock on the invoice; a provider that takes its time is waited for under this one.
        transaction.lock_for_update(allow_referencing=True)
        transaction.invalidate_recordset(["state"])
        if transaction.state == "draft":
            transaction._charge_with_token()

    @api.model
    def _fc_attempt(self, service, invoice_id, request_id):
        """Return (invoice, transaction): the attempt that is under way or was asked for, else a new one, not made yet."""
        move = self._fc_invoice(service, invoice_id)
        request_id = self._fc_text({"request_id": request_id}, "request_id", required=False)
        # One call at a time. The write makes the calls that waited begin anew, and see what this one did.
        move.lock_for_update(allow_referencing=True)
        move.x_fc_payment_asked_at = fields.Datetime.now()
        attempts = move.transaction_ids.sorted("id", reverse=True)
        known = attempts.filtered(lambda one: request_id and one.x_fc_request_id == request_id)[:1]
        if known:
            return move, known
        if move.state != "posted" or move.move_type != "out_invoice" or not move.amount_residual:
            raise RowError("only a posted invoice with an amount due can be collected", "invoice_id")
        return move, self._fc_under_way(attempts)[:1] or self._fc_new_attempt(move, request_id)

    @api.model
    def _fc_under_way(self, attempts):
        """Return the attempts that may still bring money, or brought some that is not in the books yet.

        A customer's own draft is a page that was opened; a bank transfer is a promise and collects nothing.
        """
        return attempts.filtered(
            lambda one: (
                (one.state == "draft" and one.x_fc_request_id)
                or (
                    one.state in UNDER_WAY
                    and one.provider_id.code != "custom"
                    and not (one.state == "done" and one.is_post_processed)
                )
            )
        )

    @api.model
    def _fc_new_attempt(self, move, request_id):
        tokens = self.env["payment.token"].search(
            [
                ("partner_id", "child_of", move.commercial_partner_id.id),
                ("provider_id.company_id", "=", move.company_id.id),
                ("provider_id.state", "!=", "disabled"),
            ],
            order="id desc",
        )
        token = move._fc_subscription().payment_token_id.filtered(lambda saved: saved in tokens) or tokens[:1]
        if not token:
            raise RowError("the customer has no saved payment method", "invoice_id")
        return self.env["payment.transaction"].create(
            {
                "provider_id": token.provider_id.id,
                "payment_method_id": token.payment_method_id.id,
                "token_id": token.id,
                "operation": "offline",
                "amount": move.amount_residual,
                "currency_id": move.currency_id.id,
                "partner_id": token.partner_id.id,
                "invoice_ids": [Command.set(move.ids)],
                "x_fc_request_id": request_id or f"attempt-{uuid.uuid4()}",
            }
        )

    @api.model
    def _fc_commit(self):
        if not modules.module.current_test:
            self.env.cr.commit()  # pylint: disable=invalid-commit

    @api.model
    def _fc_post_process(self, transaction):
        """Turn a collected payment into accounting now; what fails is left to Odoo's own job, never undone: money moved."""
        try:
            with self.env.cr.savepoint():
                transaction._post_process()
        except UserError as error:
            _logger.warning("Payment %s is collected and to be booked by the job: %s", transaction.reference, error)
