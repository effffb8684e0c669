import logging

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import float_compare

_logger = logging.getLogger(__name__)

ORDERS_PER_CRON_BATCH = 30


class SaleOrder(models.Model):
    """What a running subscription is invoiced, and when."""

    # One file per concern of the same model.
    _inherit = "sale.order"  # pylint: disable=consider-merging-classes-inherited

    def _get_invoice_period(self):
        """Return [start, end) of the period that the next invoice pays in advance."""
        self.ensure_one()
        start = self.next_invoice_date
        return start, self.plan_id._get_next_boundary(self.start_date or start, start)

    def _advance_after_invoice(self, start):
        """Move on past the period that began on `start`; an invoice of an earlier period moves nothing."""
        self.ensure_one()
        if start != self.next_invoice_date:
            return
        end = self._get_invoice_period()[1]
        self.write({"last_invoice_date": start, "next_invoice_date": end})
        self.order_line.filtered("recurring_invoice").write({"last_invoiced_date": fields.Date.subtract(end, days=1)})

    def _is_served_on(self, day):
        self.ensure_one()
        return not self.end_date or day < self.end_date

    def action_invoice_subscription(self):
        """Make and post the due invoice of each subscription, whatever today's date is.

        Returns:
            ids of the posted invoices; a period with nothing to pay only moves the date.
        """
        invoices = self.env["account.move"]
        for order in self:
            invoices += order._invoice_one_period()
        return invoices.ids

    def _invoice_one_period(self):
        self.ensure_one()
        nothing = self.env["account.move"]
        if self.subscription_state != "3_progress" or not self.next_invoice_date:
            raise UserError(self.env._("%s is not a running subscription.", self.name))
        if self.invoice_ids.filtered(lambda move: move.state == "draft"):
            raise UserError(self.env._("%s has a draft invoice; post or delete it first.", self.name))
        is_last = not self._is_served_on(self.next_invoice_date)
        total = sum(
            line.price_unit * line.qty_to_invoice * (1 - line.discount / 100)
            for line in self.order_line
            if not line.display_type and not (is_last and line.recurring_invoice)
        )
        sign = float_compare(total, 0, precision_rounding=self.currency_id.rounding)
        if sign < 0:
            self.payment_exception = True
            return nothing
        invoices = nothing
        if sign > 0:
            if is_last:
                # A closed subscription owes its single lines, and no further period in advance.
                self.subscription_state = "6_churn"
            invoices = self._create_invoices()
            invoices.action_post()
        elif not is_last:
            self._advance_after_invoice(self.next_invoice_date)
        if is_last and self.subscription_state != "6_churn":
            self.set_close()
        return invoices

    @api.model
    def _cron_recurring_create_invoice(self):
        """Invoice what is due today, one order per savepoint, so that a bad order does not hold up the others."""
        today = fields.Date.context_today(self)
        due = self.search(
            [
                ("is_subscription", "=", True),
                ("subscription_state", "=", "3_progress"),
                ("is_batch", "=", False),
                ("payment_exception", "=", False),
                ("pending_transaction", "=", False),
                "|",
                ("next_invoice_date", "<=", today),
                ("end_date", "<=", today),
            ],
            order="next_invoice_date, id",
        ).filtered(lambda order: "draft" not in order.invoice_ids.mapped("state"))
        for order in due[:ORDERS_PER_CRON_BATCH]:
            try:
                with self.env.cr.savepoint():
                    order._invoice_one_period()
            except UserError as error:
                _logger.warning("Order %s was not invoiced: %s", order.name, error)
                order.payment_exception = True
        if len(due) > ORDERS_PER_CRON_BATCH:
            self.env.ref("sale_subscription.account_analytic_cron_for_invoice")._trigger()
