from odoo import Command, api, fields, models
from odoo.exceptions import UserError, ValidationError

SUBSCRIPTION_STATES = [
    ("1_draft", "Quotation"),
    ("2_renewal", "Renewal Quotation"),
    ("3_progress", "In Progress"),
    ("4_paused", "Paused"),
    ("5_renewed", "Renewed"),
    ("6_churn", "Churned"),
    ("7_upsell", "Upsell"),
]


class SaleOrder(models.Model):
    _inherit = "sale.order"

    plan_id = fields.Many2one("sale.subscription.plan", string="Recurring Plan", tracking=True)
    is_subscription = fields.Boolean(compute="_compute_is_subscription", store=True, index=True)
    subscription_state = fields.Selection(
        SUBSCRIPTION_STATES,
        compute="_compute_subscription_state",
        store=True,
        readonly=False,
        index="btree_not_null",
        copy=False,
        tracking=True,
    )
    subscription_id = fields.Many2one("sale.order", string="Parent Contract", copy=False, index="btree_not_null")
    origin_order_id = fields.Many2one("sale.order", string="First Contract", copy=False, index="btree_not_null")
    subscription_child_ids = fields.One2many("sale.order", "subscription_id")
    start_date = fields.Date(copy=False, tracking=True, help="Anchor of the billing periods.")
    next_invoice_date = fields.Date(copy=False, tracking=True)
    last_invoice_date = fields.Date(copy=False, readonly=True)
    end_date = fields.Date(copy=False, tracking=True, help="First day that is no longer served.")
    first_contract_date = fields.Date(copy=False)
    close_reason_id = fields.Many2one("sale.order.close.reason", copy=False, tracking=True)
    payment_token_id = fields.Many2one("payment.token", copy=False)
    payment_exception = fields.Boolean(copy=False)
    pending_transaction = fields.Boolean(copy=False)
    is_batch = fields.Boolean(copy=False)
    recurring_total = fields.Monetary(compute="_compute_recurring_total")
    recurring_monthly = fields.Monetary(compute="_compute_recurring_total")

    @api.depends("plan_id", "subscription_state")
    def _compute_is_subscription(self):
        for order in self:
            order.is_subscription = bool(order.plan_id) and order.subscription_state != "7_upsell"

    @api.depends("plan_id")
    def _compute_subscription_state(self):
        for order in self:
            if order.plan_id:
                order.subscription_state = order.subscription_state or "1_draft"
            else:
                order.subscription_state = False

    @api.depends("order_line.price_subtotal", "order_line.recurring_invoice", "plan_id")
    def _compute_recurring_total(self):
        months = {"week": 7 / 30.437, "month": 1, "year": 12}
        for order in self:
            recurring = order.order_line.filtered("recurring_invoice")
            order.recurring_total = sum(recurring.mapped("price_subtotal")) if order.is_subscription else 0
            plan = order.plan_id
            length = months[plan.billing_period_unit] * plan.billing_period_value if plan else 1
            order.recurring_monthly = order.recurring_total / length

    @api.constrains("state", "subscription_state")
    def _check_subscription_state(self):
        for order in self:
            if order.state == "sale" and order.subscription_state == "1_draft":
                raise ValidationError(self.env._("A confirmed subscription cannot be a quotation."))
            if order.state in ("draft", "sent") and order.subscription_state in ("3_progress", "4_paused"):
                raise ValidationError(self.env._("A quotation cannot be a running subscription."))

    @api.constrains("start_date", "next_invoice_date")
    def _check_next_invoice_date(self):
        for order in self:
            if order.start_date and order.next_invoice_date and order.next_invoice_date < order.start_date:
                raise ValidationError(
                    self.env._("The next invoice of %s lies before the start of the subscription.", order.name)
                )

    def _confirmation_error_message(self):
        message = super()._confirmation_error_message()
        if message:
            return message
        recurring = self.order_line.filtered("recurring_invoice")
        if self.plan_id and not recurring:
            return self.env._("An order with a recurring plan needs a recurring product.")
        if recurring and not self.plan_id:
            return self.env._("An order with a recurring product needs a recurring plan.")
        return False

    def _prepare_confirmation_values(self):
        values = super()._prepare_confirmation_values()
        if self and all(order.is_subscription for order in self):
            values["subscription_state"] = "3_progress"
        return values

    def action_confirm(self):
        # State and subscription state must change in one write: each alone is an invalid pair.
        subscriptions = self.filtered("is_subscription")
        if subscriptions and subscriptions != self:
            return subscriptions.action_confirm() and (self - subscriptions).action_confirm()
        return super().action_confirm()

    def _action_confirm(self):
        for order in self.filtered("is_subscription"):
            start = order.start_date or fields.Date.context_today(order)
            order.write(
                {
                    "start_date": start,
                    "next_invoice_date": order.next_invoice_date or start,
                    "first_contract_date": order.first_contract_date or start,
                }
            )
        renewals = self.filtered(lambda order: order.subscription_state in ("2_renewal", "3_progress"))
        res = super()._action_confirm()
        renewals._close_renewed()
        return res

    def _action_cancel(self):
        self.filtered(lambda order: order.subscription_state in ("3_progress", "4_paused")).write(
            {"subscription_state": "6_churn", "end_date": fields.Date.context_today(self)}
        )
        return super()._action_cancel()

    def action_draft(self):
        res = super().action_draft()
        self.filtered("is_subscription").write({"subscription_state": "1_draft"})
        return res

    def set_close(self, close_reason_id=None, renew=False):
        """End the subscriptions now; what is not invoiced yet stays on the order."""
        values = {"subscription_state": "5_renewed" if renew else "6_churn"}
        if close_reason_id:
            values["close_reason_id"] = close_reason_id
        today = fields.Date.context_today(self)
        for order in self:
            order.write({**values, "end_date": min(order.end_date or today, today)})
        return True

    def prepare_renewal_order(self):
        """Make a renewal quotation with the recurring lines; confirmed, it takes over from the next period on."""
        self.ensure_one()
        if self.subscription_state not in ("3_progress", "4_paused"):
            raise UserError(self.env._("Only a running subscription can be renewed."))
        lines = self.order_line.filtered("recurring_invoice")
        renewal = self.copy(
            {
                "plan_id": self.plan_id.id,
                "subscription_state": "2_renewal",
                "subscription_id": self.id,
                "origin_order_id": (self.origin_order_id or self).id,
                "start_date": self.next_invoice_date,
                "next_invoice_date": self.next_invoice_date,
                "first_contract_date": self.first_contract_date,
                "order_line": [Command.create(line.copy_data({"order_id": False})[0]) for line in lines],
            }
        )
        return {
            "type": "ir.actions.act_window",
            "res_model": "sale.order",
            "view_mode": "form",
            "res_id": renewal.id,
        }

    def _close_renewed(self):
        """End what these confirmed renewals renew: its recurring lines go on here, its other lines stay behind."""
        for order in self.filtered("subscription_id"):
            parent = order.subscription_id
            if parent.subscription_state in ("3_progress", "4_paused"):
                parent.set_close(renew=True)
                parent.action_lock()

    def reopen_order(self):
        """Take closed subscriptions up again."""
        if any(order.subscription_state != "6_churn" or order.state != "sale" for order in self):
            raise UserError(self.env._("Only a closed subscription can be reopened."))
        return self.write({"subscription_state": "3_progress", "end_date": False, "close_reason_id": False})

    def pause_subscription(self):
        """Stop invoicing until resumed."""
        return self.filtered(lambda order: order.subscription_state == "3_progress").write(
            {"subscription_state": "4_paused"}
        )

    def resume_subscription(self):
        """Invoice paused subscriptions again."""
        return self.filtered(lambda order: order.subscription_state == "4_paused").write(
            {"subscription_state": "3_progress"}
        )
