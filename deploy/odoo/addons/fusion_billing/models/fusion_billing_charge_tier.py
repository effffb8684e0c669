from odoo import api, fields, models

from ..lib.numbers import from_float
from .fusion_billing_charge import PRICE_DIGITS, QUANTITY_DIGITS


class FusionBillingChargeTier(models.Model):
    """One price step of a volume or graduated charge."""

    _name = "fusion.billing.charge.tier"
    _description = "Billing Charge Tier"
    _order = "charge_id, sequence, id"

    charge_id = fields.Many2one("fusion.billing.charge", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="charge_id.company_id", store=True)
    sequence = fields.Integer(default=10)
    up_to = fields.Float(
        digits=QUANTITY_DIGITS, help="Last unit over the quota at this price, inclusive. Empty or 0: no bound."
    )
    price_per_unit = fields.Float(string="Price per Batch", digits=PRICE_DIGITS)
    flat_fee = fields.Float(digits=PRICE_DIGITS, help="Charged once when the tier is reached.")

    _not_negative = models.Constraint(
        "CHECK (COALESCE(up_to, 0) >= 0 AND COALESCE(price_per_unit, 0) >= 0 AND COALESCE(flat_fee, 0) >= 0)",
        "Bounds, prices and fees of a tier cannot be negative.",
    )

    def _fc_up_to(self):
        """Return the bound as Decimal, or None where there is none."""
        self.ensure_one()
        return from_float(self.up_to, QUANTITY_DIGITS[1]) or None

    def _fc_sorted(self):
        """Return the tiers from the first unit on; the one without bound is the last."""
        return self.sorted(lambda tier: (not tier.up_to, tier.up_to))

    @api.model_create_multi
    def create(self, vals_list):
        tiers = super().create(vals_list)
        tiers.charge_id._fc_tiers_changed()
        return tiers

    def write(self, vals):
        charges = self.charge_id
        res = super().write(vals)
        (charges | self.charge_id)._fc_tiers_changed()
        return res

    def unlink(self):
        charges = self.charge_id
        res = super().unlink()
        charges.exists()._fc_tiers_changed()
        return res
