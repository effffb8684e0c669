from odoo import api, fields, models
from odoo.exceptions import UserError

COUNTING = frozenset({"aggregation", "unique_property", "split_pro_rata", "service_id"})


class FusionBillingMetric(models.Model):
    """What is counted, and how the counters of one period become one total."""

    _name = "fusion.billing.metric"
    _inherit = ["fusion.billing.code.mixin"]
    _description = "Billing Metric"
    _order = "name, id"

    name = fields.Char(required=True)
    code = fields.Char(required=True)
    active = fields.Boolean(default=True)
    service_id = fields.Many2one(
        "fusion.billing.service", index=True, ondelete="restrict", help="Empty: shared by all services."
    )
    company_id = fields.Many2one(related="service_id.company_id", store=True)
    aggregation = fields.Selection(
        [("sum", "Sum"), ("max", "Maximum"), ("last", "Last Value"), ("unique_count", "Distinct Values")],
        default="sum",
        required=True,
    )
    unique_property = fields.Char(
        help="Property of the counters whose distinct values are counted. Empty: distinct quantities."
    )
    allow_negative = fields.Boolean(help="Accept counters below zero instead of rejecting them.")

    split_pro_rata = fields.Boolean(
        help="Divide a counter that reaches over the end of a billing period between the periods, in proportion to time,"
        " instead of counting all of it where it starts."
    )

    _code_unique = models.UniqueIndex(
        "(COALESCE(service_id, 0), code)", "Another metric of this service has this code."
    )

    _only_sums_are_split = models.Constraint(
        "CHECK (NOT COALESCE(split_pro_rata, FALSE) OR aggregation = 'sum')", "Only sums can be split pro rata."
    )

    @api.onchange("aggregation")
    def _onchange_aggregation(self):
        if self.aggregation != "sum":
            self.split_pro_rata = False

    def write(self, vals):
        changing = self.filtered(
            lambda metric: any(
                metric._fields[name].convert_to_write(metric[name], metric) != vals[name]
                for name in COUNTING & vals.keys()
            )
        )
        charges = self.env["fusion.billing.charge"].with_context(active_test=False)
        if changing and any(charges.search([("metric_id", "in", changing.ids)]).mapped("is_invoiced")):
            raise UserError(
                self.env._("Usage counted this way was invoiced. Make another metric and a new version of its charges.")
            )
        return super().write(vals)
