import json
from decimal import Decimal

from odoo import api, fields, models
from odoo.exceptions import UserError

from odoo.tools import format_amount, format_date

from ..lib.numbers import from_float, grouped
from ..lib.periods import shown_days

QUANTITY_PLACES = 6


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
    quantity = fields.Float(digits=(32, QUANTITY_PLACES), min_display_digits=1, help="Units counted in the period.")
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
    is_changed_by_hand = fields.Boolean(compute="_compute_is_changed_by_hand")
    invoice_count = fields.Integer(compute="_compute_invoice_count")
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

    def init(self):
        res = super().init()
        # Versions change far more often than anything indexed; with room on its page a row takes that without them.
        self.env.cr.execute("ALTER TABLE fusion_billing_usage SET (fillfactor = 70)")
        return res

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

    @api.depends("line_ids.price_unit", "line_ids.product_uom_qty", "line_ids.discount", "line_ids.x_fc_amount")
    def _compute_is_changed_by_hand(self):
        for usage in self:
            lines = usage.sudo().line_ids  # who looks at usage need not have the right to see orders
            usage.is_changed_by_hand = any(line._fc_is_changed_by_hand() for line in lines)

    def _compute_invoice_count(self):
        for usage in self:
            usage.invoice_count = len(usage._fc_invoices())

    def _fc_invoices(self):
        # As superuser: who looks at usage need not have the right to see orders.
        return self.sudo().line_ids.invoice_lines.move_id

    def action_open_invoices(self):
        """Open the invoices and credit notes that bill this usage."""
        action = self.env["ir.actions.act_window"]._for_xml_id("account.action_move_out_invoice_type")
        return {**action, "domain": [("id", "in", self._fc_invoices().ids)], "context": {}}

    def _fc_portal_subscription(self, order):
        """Return what the customer's page shows of one subscription's usage."""
        usages = self.filtered(lambda usage: usage.subscription_id == order)
        zone = order._fc_time_zone()
        days = shown_days(min(usages.mapped("period_start")), max(usages.mapped("period_end")), zone)
        first, last = (format_date(self.env, day) for day in days)
        plan = order.x_fc_plan_code or order.plan_id.name
        return {
            "name": f"{order.x_fc_service_id.name} · {plan} ({order.name})",
            "first": first,
            "last": last,
            "usages": [usage._fc_portal_usage() for usage in usages],
        }

    def _fc_portal_usage(self):
        self.ensure_one()
        detail = json.loads(self.detail or "{}")
        used, quota, over = (Decimal(detail.get(name, "0")) for name in ("total", "quota", "billable_units"))
        return {
            "charge": self.charge_id.name,
            "used": grouped(used),
            "included": grouped(quota),
            "over": grouped(over),
            "percent": int(used * 100 / quota) if quota > 0 else None,
            "amount": format_amount(self.env, self.amount, self.currency_id),
        }

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
        # As superuser, for the same reason.
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
