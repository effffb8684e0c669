from odoo import fields, models

from ..lib.numbers import money

PAID = ("paid", "in_payment")


class AccountMove(models.Model):
    _name = "account.move"
    _inherit = ["account.move", "fusion.billing.outbox.mixin"]

    x_fc_subscription_id = fields.Many2one(
        "sale.order", string="Billed Subscription", readonly=True, index="btree_not_null", ondelete="set null"
    )
    x_fc_service_id = fields.Many2one(related="x_fc_subscription_id.x_fc_service_id", string="Billing Service")

    def _fc_watched_fields(self):
        return frozenset({"state", "payment_state"})

    def _fc_subscription(self):
        """Return the subscription order of one of our services that the invoice bills, or an empty record."""
        self.ensure_one()
        orders = self.x_fc_subscription_id or self.line_ids.sale_line_ids.order_id
        return orders.filtered("x_fc_service_id")[:1]

    def _fc_subscriptions(self):
        """Return the subscription orders of several invoices."""
        return self.env["sale.order"].union(*(move._fc_subscription() for move in self))

    def _fc_announce(self):
        """Announce posted and paid. Odoo may go back from paid when a payment is undone; that is noted silently."""
        emit = self.env["fusion.billing.event"]._fc_emit
        for move in self.filtered(lambda move: move.move_type == "out_invoice"):
            before, now = move.x_fc_announced or False, move._fc_reached()
            order = move._fc_subscription() if now != before else None
            if not order:
                continue
            if now and not before:
                emit("invoice.posted", order, move._fc_event_data())
            if now == "paid":
                emit("invoice.paid", order, move._fc_event_data())
            move.x_fc_announced = now

    def _fc_reached(self):
        self.ensure_one()
        if self.state != "posted":
            return False
        return "paid" if self.payment_state in PAID else "posted"

    def _fc_event_data(self):
        self.ensure_one()
        currency = self.currency_id
        return {
            "invoice_id": self.id,
            "invoice_number": self.name or None,
            "invoice_date": self.invoice_date and self.invoice_date.isoformat() or None,
            "due_date": self.invoice_date_due and self.invoice_date_due.isoformat() or None,
            "amount_untaxed": money(self.amount_untaxed, currency),
            "amount_tax": money(self.amount_tax, currency),
            "amount_total": money(self.amount_total, currency),
            "amount_due": money(self.amount_residual, currency),
            "currency": currency.name,
        }
