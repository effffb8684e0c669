import json
import uuid
from datetime import timedelta

from odoo import api, fields, models

from ..lib.times import format_instant
from .fusion_billing_outbox_mixin import _MARKS

KEPT_DAYS = 30
GC_MAX = 10_000


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
        # As superuser: whoever changed an invoice need not be allowed to see, or write, what the apps are told.
        for model, ids in marks.items():
            self.env[model].sudo().browse(sorted(ids)).exists()._fc_announce()

    @api.model
    def _fc_emit(self, event_type, order, data):
        """Insert one event about `order`, a subscription of one of our services."""
        return self._fc_insert(event_type, order.x_fc_service_id, order.partner_id, data, order)

    @api.model
    def _fc_insert(self, event_type, service, partner, data, order=None):
        """Insert one event about a customer of a service and, with `order`, about a subscription."""
        link = self.env["fusion.billing.account.link"].search(
            [
                ("service_id", "=", service.id),
                ("partner_id", "in", (partner | partner.commercial_partner_id).ids),
            ],
            limit=1,
            order="id",
        )
        return self.create(
            {
                "event_type": event_type,
                "service_id": service.id,
                "subscription_id": order.id if order else False,
                "subscription_external_id": order._fc_told_external_id() if order else False,
                "customer_external_id": link.external_id,
                "data": json.dumps(data, sort_keys=True),
            }
        )

    @api.autovacuum
    def _gc_published(self):
        """Delete events that were published long ago; the topic and its readers have them."""
        before = fields.Datetime.now() - timedelta(days=KEPT_DAYS)
        old = self.search([("published", "=", True), ("published_at", "<", before)], limit=GC_MAX, order="id")
        old.unlink()
        return len(old), len(old) == GC_MAX

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
