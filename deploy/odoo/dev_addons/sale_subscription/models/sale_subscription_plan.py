from dateutil.relativedelta import relativedelta

from odoo import fields, models


class SaleSubscriptionPlan(models.Model):
    """A recurrence: orders with it are invoiced every `billing_period_value` units, counted from their start."""

    _name = "sale.subscription.plan"
    _description = "Subscription Plan"
    _order = "name, id"

    name = fields.Char(required=True, translate=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company")
    billing_period_value = fields.Integer(string="Every", default=1, required=True)
    billing_period_unit = fields.Selection(
        [("week", "Weeks"), ("month", "Months"), ("year", "Years")], default="month", required=True
    )
    billing_first_day = fields.Boolean(string="Align to Period Start")
    auto_close_limit = fields.Integer(string="Automatic Closing After (Days)", default=15)
    user_closable = fields.Boolean(string="Closable by Customers")

    _positive_period = models.Constraint(
        "CHECK (billing_period_value > 0)", "A plan's period must be at least one unit long."
    )

    def _get_boundary(self, anchor, k):
        """Return the first day of period `k` (0 is the anchor's own), month ends clamped from the anchor."""
        self.ensure_one()
        return anchor + relativedelta(**{f"{self.billing_period_unit}s": k * self.billing_period_value})

    def _get_next_boundary(self, anchor, day):
        """Return the first boundary after `day`; never counted from the boundary before, which would drift."""
        self.ensure_one()
        days_max = {"week": 7, "month": 31, "year": 366}[self.billing_period_unit] * self.billing_period_value
        k = max(0, (day - anchor).days // days_max)
        while self._get_boundary(anchor, k) <= day:
            k += 1
        return self._get_boundary(anchor, k)
