import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

_logger = logging.getLogger(__name__)

RUNNING = ("3_progress", "4_paused")
CLOSED = ("5_renewed", "6_churn")
GRACE_HOURS = 24


class SaleOrder(models.Model):
    """Where the usage of a subscription is billed once the subscription itself cannot take it any more."""

    # One file per concern of the same model.
    _inherit = "sale.order"  # pylint: disable=consider-merging-classes-inherited

    x_fc_final_for_id = fields.Many2one(
        "sale.order",
        string="Final Bill of",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        help="The closed subscription whose last usage this order bills.",
    )

    def _fc_destination(self):
        """Return (order, refusal): the order that takes usage of this subscription now, or why none may.

        A running or paused subscription takes it itself (what is paused is not invoiced, so it waits there), a
        renewed one's successor does, and a closed one has a final order; an empty order says that it must be made.
        """
        self.ensure_one()
        nothing = self.browse()
        if self.state != "sale":
            return nothing, self._fc_not_in_progress(self.state)
        order = self
        if self.subscription_state in CLOSED:
            order = self._fc_successor() or self._fc_find_final_order()
        elif self.subscription_state not in RUNNING:
            return nothing, self._fc_not_in_progress(self.subscription_state)
        if order.locked:
            return nothing, f"the order {order.name} is locked"
        return order, None

    def _fc_successor(self):
        """Return the running order that a renewed subscription goes on in, over several renewals, or nothing.

        One in another currency or company does not count: the amount would mean something else there.
        """
        self.ensure_one()
        waiting, seen = [self], self.browse()
        while waiting:
            order = waiting.pop(0)
            seen |= order
            if order.subscription_state != "5_renewed":
                continue
            for child in (order.subscription_child_ids - seen).sorted("id", reverse=True):
                if child.state != "sale" or child.currency_id != self.currency_id:
                    continue
                if child.subscription_state in RUNNING and child.company_id == self.company_id:
                    return child
                waiting.append(child)
        return self.browse()

    def _fc_told_external_id(self):
        """Return the id by which the app knows the subscription, also after a renewal took it over."""
        self.ensure_one()
        order = self.x_fc_final_for_id or self
        return order.x_fc_external_id or order._fc_successor().x_fc_external_id

    def _fc_find_final_order(self):
        return self.search([("x_fc_final_for_id", "=", self.id), ("state", "=", "sale")], order="id desc", limit=1)

    def _fc_make_final_order(self):
        """Return a new confirmed order without plan for what a closed subscription still owes."""
        self.ensure_one()
        final = self.with_company(self.company_id).create(
            {
                "partner_id": self.partner_id.id,
                "partner_invoice_id": self.partner_invoice_id.id,
                "company_id": self.company_id.id,
                "pricelist_id": self.pricelist_id.id,
                "fiscal_position_id": self.fiscal_position_id.id,
                "payment_term_id": self.payment_term_id.id,
                "client_order_ref": self.client_order_ref,
                "origin": self.name,
                "user_id": False,
                "x_fc_service_id": self.x_fc_service_id.id,
                "x_fc_plan_code": self.x_fc_plan_code,
                "x_fc_final_for_id": self.id,
            }
        )
        final.action_confirm()
        final.locked = False  # where orders lock themselves when confirmed, its lines could never be brought up to date
        return final

    def _fc_inherit_subscription(self):
        """Make a renewal the subscription that the app knows: what identifies it and its zone come from its parent.

        So later counters, which bear the same external id, are rated and billed on the order in progress.
        """
        for order in self:
            parent = order.subscription_id
            if order.subscription_state != "2_renewal" or not parent.x_fc_service_id or order.x_fc_external_id:
                continue
            external_id, parent.x_fc_external_id = parent.x_fc_external_id, False
            parent.flush_recordset(["x_fc_external_id"])
            order.write(
                {
                    "x_fc_service_id": parent.x_fc_service_id.id,
                    "x_fc_plan_code": order.x_fc_plan_code or parent.x_fc_plan_code,
                    "x_fc_external_id": external_id,
                    "x_fc_time_zone": parent._fc_time_zone(),
                }
            )

    @api.model
    def _cron_fc_settle_closed(self):
        """Move what closed subscriptions left uninvoiced to where it can be billed, then invoice final orders.

        A renewed subscription is never invoiced again; paying an invoice of a churned one may open it again.
        """
        lines = self.env["sale.order.line"].search(
            [
                ("x_fc_overage_key", "!=", False),
                ("x_fc_amount", "!=", 0),
                ("qty_invoiced", "=", 0),
                ("order_id.state", "=", "sale"),
                ("order_id.subscription_state", "in", CLOSED),
            ]
        )
        for order, left in lines.grouped("order_id").items():
            order._fc_try(order._fc_move_lines, left)
        for final in self._fc_due_final_orders():
            final._fc_try(final._fc_invoice_final)
        self.env["fusion.billing.credit"]._fc_make_due_credit_notes()

    def _fc_refuse_open_usage(self):
        """Say on what a cancelled order has not invoiced yet that nobody is billed for it."""
        for order in self:
            _nothing, refusal = order._fc_destination()
            order.x_fc_usage_ids.filtered(lambda usage: usage.state == "open").error = refusal

    def _fc_admit_usage(self):
        """Let what was refused only because the order was cancelled be billed, now that the order goes on."""
        for order in self:
            cancelled = order._fc_not_in_progress("cancel")
            order.x_fc_usage_ids.filtered(lambda usage, error=cancelled: usage.error == error).error = False

    def _fc_not_in_progress(self, state):
        self.ensure_one()
        return f"the subscription {self.name} is not in progress (its state is {state})"

    def _fc_try(self, work, *arguments):
        """Do one order's work in its own savepoint: a bad order does not hold up the others."""
        try:
            with self.env.cr.savepoint():
                work(*arguments)
        except UserError as error:
            _logger.warning("Order %s could not be settled: %s", self.name, error)

    def _fc_move_lines(self, lines):
        destination, refusal = self._fc_destination()
        if refusal:
            raise UserError(refusal)
        destination = destination or self._fc_make_final_order()
        for line in lines.filtered(lambda line: not line._fc_is_changed_by_hand()):
            line._fc_move_to(destination)

    @api.model
    def _fc_grace(self):
        """Return how long final orders and stranded credits wait for late counters."""
        # As superuser: system parameters are an administrator's to read.
        hours = self.env["ir.config_parameter"].sudo().get_param("fusion_billing.final_bill_grace_hours")
        return timedelta(hours=float(hours or GRACE_HOURS))

    @api.model
    def _fc_due_final_orders(self):
        """Return final orders with something to invoice that did not change within the grace."""
        finals = self.search([("x_fc_final_for_id", "!=", False), ("invoice_status", "=", "to invoice")])
        ripe = self.env.cr.now() - self._fc_grace()
        return finals.filtered(
            lambda order: (
                all(line.write_date <= ripe for line in order.order_line)
                and sum(line.price_unit * line.qty_to_invoice for line in order.order_line) > 0
            )
        )

    def _fc_invoice_final(self):
        self.ensure_one()
        self._create_invoices().action_post()
