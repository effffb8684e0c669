from odoo import api, fields, models

from ..lib.numbers import money

PAID = ("paid", "in_payment")
# What is told when a document of a kind is posted, paid and voided.
EVENTS = {
    "out_invoice": ("invoice.posted", "invoice.paid", "invoice.voided"),
    "out_refund": ("credit_note.posted", None, None),
}


class AccountMove(models.Model):
    _name = "account.move"
    _inherit = ["account.move", "fusion.billing.outbox.mixin"]

    x_fc_subscription_id = fields.Many2one(
        "sale.order", string="Billed Subscription", readonly=True, index="btree_not_null", ondelete="set null"
    )
    x_fc_service_id = fields.Many2one(
        "fusion.billing.service",
        string="Billing Service",
        compute="_compute_x_fc_service_id",
        store=True,
        index="btree_not_null",
        ondelete="restrict",
        help="The service whose subscription, or whose single order, the invoice bills.",
    )
    x_fc_request_id = fields.Char(
        string="Request ID", copy=False, readonly=True, help="The app's own id of its request for this document."
    )
    x_fc_payment_asked_at = fields.Datetime(
        string="Payment Asked At",
        copy=False,
        readonly=True,
        help="When an app last had the invoice collected with the customer's saved payment method.",
    )

    _x_fc_request_unique = models.UniqueIndex(
        "(x_fc_service_id, x_fc_request_id) WHERE x_fc_request_id IS NOT NULL",
        "The service asked for this document already.",
    )

    @api.depends("x_fc_subscription_id.x_fc_service_id")
    def _compute_x_fc_service_id(self):
        for move in self:
            move.x_fc_service_id = move.x_fc_subscription_id.x_fc_service_id or move.x_fc_service_id

    x_fc_usage_count = fields.Integer(
        string="Usage", compute="_compute_x_fc_usage_count", groups="fusion_billing.group_user"
    )

    def _compute_x_fc_usage_count(self):
        for move in self:
            move.x_fc_usage_count = len(move.invoice_line_ids.x_fc_usage_id)

    def action_x_fc_open_usage(self):
        """Open the usage behind the invoice's lines."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("fusion_billing.fusion_billing_usage_action")
        return {**action, "domain": [("id", "in", self.invoice_line_ids.x_fc_usage_id.ids)], "context": {}}

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
        """Announce posted, paid and voided. Odoo may go back from paid when a payment is undone; that is silent."""
        for move in self.filtered(lambda move: move.move_type in EVENTS):
            before, now = move.x_fc_announced or False, move._fc_reached()
            if now == before or not (move.x_fc_service_id or move._fc_subscription()):
                continue
            for event in move._fc_events_of(before, now):
                move._fc_emit(event)
            move.x_fc_announced = now

    def _fc_events_of(self, before, now):
        """Return the lifecycle events of a change, in order."""
        self.ensure_one()
        posted, paid, voided = EVENTS[self.move_type]
        events = []
        if now in ("posted", "paid") and before not in ("posted", "paid"):
            events.append(posted)
        if now == "paid" and paid:
            events.append(paid)
        if now == "void" and voided:
            events.append(voided)
        return events

    def _fc_emit(self, event_type, **more):
        """Insert an event about the invoice: about its subscription or, for a single one, its customer."""
        self.ensure_one()
        order = self._fc_subscription()
        service = order.x_fc_service_id or self.x_fc_service_id
        partner = order.partner_id or self.partner_id
        data = {**self._fc_event_data(), **more}
        return self.env["fusion.billing.event"]._fc_insert(event_type, service, partner, data, order)

    def _fc_reached(self):
        """Return posted or paid; withdrawn (a posted one that is a draft again) or void; False for one never posted."""
        self.ensure_one()
        was_posted = bool(self.x_fc_announced)
        if self.state == "cancel":
            return "void" if was_posted else False
        if self.state != "posted":
            return "withdrawn" if was_posted else False
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
            **({"reversed_invoice_id": self.reversed_entry_id.id or None} if self.move_type == "out_refund" else {}),
        }
