from odoo import api, fields, models

from ..lib.numbers import from_float, plain
from .fusion_billing_charge import QUANTITY_DIGITS


class FusionBillingThreshold(models.Model):
    """Usage that the app is told of when it is reached, once in each billing period."""

    _name = "fusion.billing.threshold"
    _inherit = ["fusion.billing.code.mixin"]
    _description = "Billing Threshold"
    _order = "charge_id, kind, value, id"

    charge_id = fields.Many2one("fusion.billing.charge", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="charge_id.company_id", store=True)
    code = fields.Char(required=True, copy=True)
    kind = fields.Selection(
        [("quantity", "Quantity"), ("quota_percent", "Percent of Quota"), ("amount", "Amount")],
        default="quota_percent",
        required=True,
        help="What is compared with the value: the period's total, the total as a percentage of the included quota, "
        "or the charge's amount.",
    )
    value = fields.Float(digits=QUANTITY_DIGITS, required=True)

    _value_positive = models.Constraint("CHECK (value > 0)", "The value of a threshold must be above zero.")
    _code_unique = models.Constraint("UNIQUE (charge_id, code)", "Another threshold of this charge has this code.")

    @api.model_create_multi
    def create(self, vals_list):
        thresholds = super().create(vals_list)
        thresholds.charge_id._fc_thresholds_changed()
        return thresholds

    def write(self, vals):
        charges = self.charge_id
        res = super().write(vals)
        (charges | self.charge_id)._fc_thresholds_changed()
        return res

    def unlink(self):
        charges = self.charge_id
        res = super().unlink()
        charges.exists()._fc_thresholds_changed()
        return res

    def _fc_catalog_value(self):
        """Return the threshold as its charge's catalog record shows it."""
        self.ensure_one()
        return {"code": self.code, "kind": self.kind, "value": plain(from_float(self.value, QUANTITY_DIGITS[1]))}
