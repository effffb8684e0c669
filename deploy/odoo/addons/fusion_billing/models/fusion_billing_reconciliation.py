from odoo import api, fields, models


class FusionBillingReconciliation(models.Model):
    """What Odoo and another biller charged one subscription for one period, and the difference."""

    _name = "fusion.billing.reconciliation"
    _description = "Billing Reconciliation"
    _order = "period desc, id desc"

    service_id = fields.Many2one("fusion.billing.service", required=True, index=True, ondelete="restrict")
    company_id = fields.Many2one(related="service_id.company_id", store=True)
    partner_id = fields.Many2one("res.partner", index=True, ondelete="restrict")
    subscription_id = fields.Many2one("sale.order", index=True, ondelete="restrict")
    period = fields.Char(required=True, help="Like 2026-11.")
    currency_id = fields.Many2one("res.currency", default=lambda self: self.env.company.currency_id)
    odoo_amount = fields.Monetary()
    external_amount = fields.Monetary()
    delta = fields.Monetary(compute="_compute_delta", store=True, readonly=False, help="Odoo's amount less the other.")
    status = fields.Selection(
        [
            ("match", "Match"),
            ("mismatch", "Mismatch"),
            ("missing_odoo", "Missing in Odoo"),
            ("missing_external", "Missing outside"),
        ],
        default="mismatch",
        required=True,
    )
    note = fields.Text()

    @api.depends("odoo_amount", "external_amount")
    def _compute_delta(self):
        for row in self:
            row.delta = row.odoo_amount - row.external_amount
