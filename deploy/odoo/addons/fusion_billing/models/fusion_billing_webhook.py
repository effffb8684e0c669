from odoo import fields, models


class FusionBillingWebhook(models.Model):
    """A webhook delivery as finance and administrators see it; the webhook sink keeps the working state."""

    _name = "fusion.billing.webhook"
    _description = "Webhook Delivery"
    _rec_name = "event_id"
    _order = "id desc"

    service_id = fields.Many2one("fusion.billing.service", required=True, index=True, ondelete="restrict")
    company_id = fields.Many2one(related="service_id.company_id", store=True)
    event_id = fields.Char(string="Event ID", required=True, index=True)
    event_type = fields.Char(required=True)
    payload = fields.Text()
    state = fields.Selection(
        [("pending", "Pending"), ("delivered", "Delivered"), ("dead", "Dead")], default="pending", required=True
    )
    attempts = fields.Integer()
    next_retry_at = fields.Datetime()
    last_error = fields.Char()

    _event_unique = models.Constraint("UNIQUE (service_id, event_id)", "This delivery is recorded already.")
