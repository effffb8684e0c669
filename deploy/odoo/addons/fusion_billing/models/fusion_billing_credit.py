from odoo import Command, api, fields, models


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

    refund_id = fields.Many2one(
        "account.move", string="Credit Note", readonly=True, copy=False, index="btree_not_null", ondelete="restrict"
    )

    _used_within_amount = models.Constraint(
        "CHECK (amount > 0 AND COALESCE(amount_used, 0) >= 0 AND COALESCE(amount_used, 0) <= amount)",
        "A credit is positive and cannot be used beyond its amount.",
    )

    @api.depends("amount", "amount_used")
    def _compute_amount_pending(self):
        for credit in self:
            credit.amount_pending = credit.currency_id.round(credit.amount - credit.amount_used)
            credit.state = "used" if credit.currency_id.is_zero(credit.amount_pending) else "pending"

    def action_make_credit_note(self):
        """Give pending credits back by one posted credit note per subscription, instead of waiting for later usage."""
        self.check_access("write")
        # As superuser: who decides about credits need not be an accountant.
        notes = self.env["account.move"]
        for order, credits_ in (
            self.sudo().filtered(lambda credit: credit.state == "pending").grouped("subscription_id").items()
        ):
            notes |= credits_._fc_make_credit_note(order)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Credit Notes"),
            "res_model": "account.move",
            "view_mode": "list,form",
            "domain": [("id", "in", notes.ids)],
        }

    def _fc_make_credit_note(self, order):
        # Without a link to the order's lines: their quantities invoiced must stay as they are.
        note = (
            self.env["account.move"]
            .with_company(order.company_id)
            .create(
                {
                    "move_type": "out_refund",
                    "partner_id": order.partner_invoice_id.id,
                    "company_id": order.company_id.id,
                    "currency_id": self.currency_id.id,
                    "fiscal_position_id": order.fiscal_position_id.id,
                    "invoice_user_id": False,
                    "invoice_origin": order.name,
                    "x_fc_subscription_id": order.id,
                    "invoice_line_ids": [Command.create(credit._fc_credit_note_line()) for credit in self],
                }
            )
        )
        note.action_post()
        for credit in self:
            credit.write({"amount_used": credit.amount, "refund_id": note.id})
        return note

    def _fc_credit_note_line(self):
        self.ensure_one()
        usage = self.usage_id
        billed = usage.line_ids.filtered("qty_invoiced").sorted("x_fc_revision")[-1:]
        return {
            "product_id": (billed.product_id or usage.charge_id.product_id).id,
            "name": self.env._("Correction: %s", (billed.name or usage.charge_id.name).split("\n")[0]),
            "quantity": 1.0,
            "price_unit": self.amount_pending,
            "tax_ids": [Command.set(billed.tax_ids.ids)],
        }

    @api.model
    def _fc_make_due_credit_notes(self):
        """Give back what no later usage can use up, or what its service wants back at once, after the grace."""
        ripe = self.env.cr.now() - self.env["sale.order"]._fc_grace()
        due = self.search(
            [
                ("state", "=", "pending"),
                ("write_date", "<=", ripe),
                "|",
                ("subscription_id.subscription_state", "=", "6_churn"),
                ("subscription_id.x_fc_service_id.credit_policy", "=", "credit_note"),
            ]
        )
        for order, credits_ in due.grouped("subscription_id").items():
            order._fc_try(credits_._fc_make_credit_note, order)
