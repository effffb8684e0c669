from odoo import fields, models


class FusionBillingEventType(models.Model):
    """A kind of lifecycle event that a service can ask to be told of."""

    _name = "fusion.billing.event.type"
    _description = "Billing Event Type"
    _rec_name = "code"
    _order = "code"

    code = fields.Char(required=True, readonly=True)
    description = fields.Char(translate=True)

    _code_unique = models.Constraint("UNIQUE (code)", "Another event type has this code.")
