from dateutil.relativedelta import relativedelta

from odoo import fields, models


class FusionBillingChargeVersion(models.TransientModel):
    """Dialog that asks from when on new terms of a charge hold."""

    _name = "fusion.billing.charge.version"
    _description = "New Version of a Billing Charge"

    charge_id = fields.Many2one("fusion.billing.charge", required=True, readonly=True)
    valid_from = fields.Date(
        required=True,
        default=lambda self: fields.Date.context_today(self) + relativedelta(months=1, day=1),
        help="Periods that start on this day or later have the new terms.",
    )

    def action_make(self):
        """Make the new version and open it, so that its terms can be entered."""
        self.ensure_one()
        new = self.charge_id._fc_new_version(self.valid_from)
        return {
            "type": "ir.actions.act_window",
            "res_model": "fusion.billing.charge",
            "view_mode": "form",
            "res_id": new.id,
        }
