from odoo import fields, models


class ResPartner(models.Model):
    _inherit = "res.partner"

    x_fc_account_count = fields.Integer(
        string="Accounts", compute="_compute_x_fc_counts", groups="fusion_billing.group_user"
    )
    x_fc_usage_count = fields.Integer(
        string="Usage", compute="_compute_x_fc_counts", groups="fusion_billing.group_user"
    )

    def _compute_x_fc_counts(self):
        for partner in self:
            of_partner = [("partner_id", "child_of", partner.ids)]
            partner.x_fc_account_count = self.env["fusion.billing.account.link"].search_count(of_partner)
            partner.x_fc_usage_count = self.env["fusion.billing.usage"].search_count(of_partner)

    def action_x_fc_open_usage(self):
        """Open the usage of this customer and its contacts."""
        return self._fc_open("fusion_billing.fusion_billing_usage_action")

    def action_x_fc_open_accounts(self):
        """Open the accounts of this customer and its contacts in our services."""
        return self._fc_open("fusion_billing.fusion_billing_account_link_action")

    def _fc_open(self, xml_id):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(xml_id)
        return {**action, "domain": [("partner_id", "child_of", self.ids)], "context": {}}
