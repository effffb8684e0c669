from odoo import models


class BasePartnerMergeAutomaticWizard(models.TransientModel):
    _inherit = "base.partner.merge.automatic.wizard"

    def _merge(self, partner_ids, dst_partner=None, extra_checks=True):
        """Date the links and subscriptions of merged partners: Odoo moves them in SQL, which the feed would not see."""
        # As superuser: whoever merges contacts need not be allowed to see accounts or orders.
        links = self.env["fusion.billing.account.link"].sudo().search([("partner_id", "in", partner_ids)])
        orders = (
            self.env["sale.order"].sudo().search([("partner_id", "in", partner_ids), ("x_fc_service_id", "!=", False)])
        )
        res = super()._merge(partner_ids, dst_partner, extra_checks)
        for records in (links, orders):
            records.invalidate_recordset()
            records.write({})
        return res
