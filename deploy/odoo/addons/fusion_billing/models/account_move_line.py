from odoo import fields, models


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    x_fc_usage_id = fields.Many2one(
        "fusion.billing.usage", string="Usage", compute="_compute_x_fc_usage_id", groups="fusion_billing.group_user"
    )

    def _compute_x_fc_usage_id(self):
        for line in self:
            # As superuser: finance need not have the right to see orders.
            line.x_fc_usage_id = line.sudo().sale_line_ids.x_fc_usage_id[:1].id

    def action_x_fc_open_usage(self):
        """Open the usage behind this line."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "fusion.billing.usage",
            "view_mode": "form",
            "res_id": self.x_fc_usage_id.id,
        }
