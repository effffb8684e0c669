import json
import uuid

from odoo import api, fields, models

from ..lib.times import format_instant
from .fusion_billing_outbox_mixin import _MARKS


class FusionBillingEvent(models.Model):
    """Outbox of lifecycle events: written with the change they tell of, read by the feed until acknowledged."""

    _name = "fusion.billing.event"
    _description = "Billing Lifecycle Event"
    _rec_name = "event_id"
    _order = "id desc"

    event_id = fields.Char(string="Event ID", required=True, readonly=True, default=lambda self: str(uuid.uuid4()))
    event_type = fields.Char(required=True, readonly=True, index=True)
    time = fields.Datetime(required=True, readonly=True, default=fields.Datetime.now)
    service_id = fields.Many2one(
        "fusion.billing.service", required=True, readonly=True, index=True, ondelete="restrict"
    )
    company_id = fields.Many2one(related="service_id.company_id", store=True)
    subscription_id = fields.Many2one("sale.order", readonly=True, index=True, ondelete="set null")
    subscription_external_id = fields.Char(readonly=True)
    customer_external_id = fields.Char(readonly=True)
    data = fields.Text(required=True, readonly=True, default="{}", help="JSON object; amounts are decimal strings.")
    published = fields.Boolean(readonly=True)
    published_at = fields.Datetime(readonly=True)

    _event_id_unique = models.Constraint("UNIQUE (event_id)", "Event ids are unique.")
    _unpublished = models.Index("(id) WHERE published IS NOT TRUE")

    @api.model
    def _fc_flush(self):
        """Announce what the marked records have become. Runs before each commit and each savepoint."""
        marks = self.env.cr.precommit.data.pop(_MARKS, {})
        for model, ids in marks.items():
            self.env[model].sudo().browse(sorted(ids)).exists()._fc_announce()

    @api.model
    def _fc_emit(self, event_type, order, data):
        """Insert one event about `order`, a subscription of one of our services."""
        link = self.env["fusion.billing.account.link"].search(
            [
                ("service_id", "=", order.x_fc_service_id.id),
                ("partner_id", "in", (order.partner_id | order.partner_id.commercial_partner_id).ids),
            ],
            limit=1,
            order="id",
        )
        return self.create(
            {
                "event_type": event_type,
                "service_id": order.x_fc_service_id.id,
                "subscription_id": order.id,
                "subscription_external_id": order.x_fc_external_id,
                "customer_external_id": link.external_id,
                "data": json.dumps(data, sort_keys=True),
            }
        )

    def _fc_to_dict(self):
        """Return the event as the feed reads it."""
        self.ensure_one()
        return {
            "id": self.id,
            "event_id": self.event_id,
            "type": self.event_type,
            "time": format_instant(self.time),
            "service": self.service_id.code,
            "subscription": self.subscription_external_id or None,
            "customer": self.customer_external_id or None,
            "data": json.loads(self.data),
        }
