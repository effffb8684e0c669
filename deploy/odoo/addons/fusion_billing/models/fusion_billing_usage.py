from odoo import api, fields, models
from odoo.exceptions import UserError

from ..lib.numbers import from_float


class FusionBillingUsage(models.Model):
    """The pipeline's total of one charge in one period, and what became of it, as finance sees it."""

    _name = "fusion.billing.usage"
    _description = "Billing Usage"
    _rec_name = "key"
    _order = "period_start desc, id desc"

    key = fields.Char(copy=False, help="Key of the overage record: service/subscription/charge/period start.")
    service_id = fields.Many2one("fusion.billing.service", index=True, ondelete="restrict")
    subscription_id = fields.Many2one("sale.order", index=True, ondelete="restrict")
    partner_id = fields.Many2one(related="subscription_id.partner_id", store=True)
    company_id = fields.Many2one("res.company", compute="_compute_company_id", store=True)
    metric_id = fields.Many2one("fusion.billing.metric", index=True, ondelete="restrict")
    charge_id = fields.Many2one("fusion.billing.charge", index=True, ondelete="restrict")
    period_start = fields.Datetime()
    period_end = fields.Datetime(help="First instant that belongs to the next period.")
    quantity = fields.Float(digits=(32, 6), help="Units counted in the period.")
    amount = fields.Monetary(help="Price of the units over the quota, before tax.")
    currency_id = fields.Many2one("res.currency", ondelete="restrict")
    counters = fields.Integer(help="Number of counters behind the total.")
    version = fields.Char(copy=False, help="Epoch, source offset and catalog offset of the last accepted record.")
    fingerprint = fields.Char(copy=False, help="Digest of the last accepted record; an equal one is not looked at.")
    detail = fields.Text(copy=False, help="The accepted record's exact numbers.")
    error = fields.Char(copy=False, help="Why the last record could not be billed.")
    credit_raised = fields.Monetary(copy=False, help="Sum of the credits made for this usage.")
    credit_applied = fields.Monetary(copy=False, help="Sum of the credits used up instead of billing.")
    waived = fields.Monetary(copy=False, help="What people took off its lines by hand, and accepted.")
    line_ids = fields.One2many("sale.order.line", "x_fc_usage_id")
    credit_ids = fields.One2many("fusion.billing.credit", "usage_id")
    state = fields.Selection(
        [
            ("included", "Nothing to Bill"),
            ("open", "To Invoice"),
            ("invoiced", "Invoiced"),
            ("credited", "Credit Pending"),
            ("parked", "Needs Attention"),
        ],
        compute="_compute_state",
        store=True,
        index=True,
    )

    _key_unique = models.UniqueIndex("(key) WHERE key IS NOT NULL", "This usage is recorded already.")

    @api.depends("subscription_id.company_id", "service_id.company_id")
    def _compute_company_id(self):
        for usage in self:
            usage.company_id = usage.subscription_id.company_id or usage.service_id.company_id

    @api.depends("error", "line_ids.qty_invoiced", "line_ids.price_unit", "credit_ids.state")
    def _compute_state(self):
        for usage in self:
            if usage.error:
                usage.state = "parked"
            elif "pending" in usage.credit_ids.mapped("state"):
                usage.state = "credited"
            elif usage.line_ids.filtered(lambda line: not line.qty_invoiced and line.price_unit):
                usage.state = "open"
            elif usage.line_ids.filtered("qty_invoiced"):
                usage.state = "invoiced"
            else:
                usage.state = "included"

    def action_accept_changes(self):
        """Let stand what people changed by hand on the lines; later usage is billed on top of it."""
        self.check_access("write")
        # As superuser: who decides about billed usage need not be allowed to edit orders.
        for usage in self.sudo():
            places = usage.currency_id.decimal_places
            for line in usage.line_ids.filtered(lambda line: line._fc_is_changed_by_hand()):
                shown = line._fc_shown_amount()
                usage.waived = float(from_float(usage.waived, places) + line._fc_own_amount() - shown)
                line.x_fc_amount = float(shown)
            usage.error = False

    def action_undo_changes(self):
        """Give lines that people changed by hand the pipeline's amount again, as long as they are not invoiced."""
        self.check_access("write")
        for usage in self.sudo():
            for line in usage.line_ids.filtered(lambda line: line._fc_is_changed_by_hand()):
                if line._fc_is_frozen():
                    raise UserError(
                        self.env._(
                            "%s is invoiced with the changed amount: accept it, or credit it.", line.order_id.name
                        )
                    )
                line.write({"product_uom_qty": 1.0, "price_unit": line.x_fc_amount, "discount": 0.0})
            usage.error = False
