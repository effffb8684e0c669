from odoo import fields, models


class FusionBillingApiKey(models.TransientModel):
    """Dialog that shows a new key or webhook secret once. It is opened on a new record and never saved."""

    _name = "fusion.billing.api.key"
    _description = "New API Key"

    service_id = fields.Many2one("fusion.billing.service", readonly=True)
    key = fields.Char(readonly=True, store=False)
