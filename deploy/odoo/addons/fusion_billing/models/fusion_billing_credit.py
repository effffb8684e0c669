from odoo import api, fields, models


class FusionBillingCredit(models.Model):
    """Money owed to a customer because usage that was invoiced already turned out lower.

    Later positive amounts of the same subscription use it up before a line is made.
    """

    _name = "fusion.billing.credit"
    _description = "Pending Billing Credit"
    _order = "id"

    subscription_id = fields.Many2one("sale.order", required=True, index=True, ondelete="restrict")
    usage_id = fields.Many2one("fusion.billing.usage", required=True, index=True, ondelete="restrict")
    charge_id = fields.Many2one(related="usage_id.charge_id", store=True)
    company_id = fields.Many2one(related="subscription_id.company_id", store=True)
    currency_id = fields.Many2one("res.currency", required=True, ondelete="restrict")
    amount = fields.Monetary(required=True)
    amount_used = fields.Monetary()
    amount_pending = fields.Monetary(compute="_compute_amount_pending", store=True)
    state = fields.Selection([("pending", "Pending"), ("used", "Used")], compute="_compute_amount_pending", store=True)

    _used_within_amount = models.Constraint(
        "CHECK (amount > 0 AND COALESCE(amount_used, 0) >= 0 AND COALESCE(amount_used, 0) <= amount)",
        "A credit is positive and cannot be used beyond its amount.",
    )

    @api.depends("amount", "amount_used")
    def _compute_amount_pending(self):
        for credit in self:
            credit.amount_pending = credit.currency_id.round(credit.amount - credit.amount_used)
            credit.state = "used" if credit.currency_id.is_zero(credit.amount_pending) else "pending"
