from odoo import fields, models

from ..lib.numbers import from_float


class SaleOrderLine(models.Model):
    _inherit = "sale.order.line"

    x_fc_key = fields.Char(string="Overage Line Key", copy=False, readonly=True, help="Overage key # revision.")
    x_fc_overage_key = fields.Char(string="Overage Key", copy=False, readonly=True, index="btree_not_null")
    x_fc_revision = fields.Integer(string="Revision", copy=False, readonly=True)
    x_fc_version = fields.Char(string="Overage Version", copy=False, readonly=True)
    x_fc_charge_id = fields.Many2one(
        "fusion.billing.charge", string="Charge", copy=False, readonly=True, index="btree_not_null", ondelete="restrict"
    )
    x_fc_usage_id = fields.Many2one(
        "fusion.billing.usage", string="Usage", copy=False, readonly=True, index="btree_not_null", ondelete="restrict"
    )
    x_fc_amount = fields.Monetary(
        string="Billed Usage Amount", copy=False, readonly=True, help="What the pipeline made of the line, before tax."
    )
    x_fc_period_start = fields.Datetime(string="Usage Period Start", copy=False, readonly=True)
    x_fc_period_end = fields.Datetime(string="Usage Period End", copy=False, readonly=True)

    _x_fc_key_unique = models.UniqueIndex(
        "(x_fc_key) WHERE x_fc_key IS NOT NULL", "There is a line for this charge, period and revision already."
    )

    def _fc_is_frozen(self):
        """Tell whether the line is on an invoice (a draft counts) and must not change any more."""
        self.ensure_one()
        return bool(self.qty_invoiced)

    def _fc_shown_amount(self):
        """Return what the customer is asked for by this line, before tax, whoever wrote it."""
        self.ensure_one()
        shown = self.price_unit * self.product_uom_qty * (1 - self.discount / 100)
        return from_float(shown, self.currency_id.decimal_places)

    def _fc_own_amount(self):
        """Return what the pipeline wrote."""
        self.ensure_one()
        return from_float(self.x_fc_amount, self.currency_id.decimal_places)

    def _fc_is_changed_by_hand(self):
        """Tell whether a person gave the line another amount than the pipeline."""
        self.ensure_one()
        return self._fc_shown_amount() != self._fc_own_amount()

    def _fc_refunded(self):
        """Return what credit notes, drafts included, gave back on this line, before tax."""
        self.ensure_one()
        refunds = self.invoice_lines.filtered(
            lambda line: line.move_id.move_type == "out_refund" and line.move_id.state != "cancel"
        )
        return from_float(sum(refunds.mapped("price_subtotal")), self.currency_id.decimal_places)

    def _fc_move_to(self, order):
        """Bill what this line bills on another order instead, as the next revision; return the new line."""
        self.ensure_one()
        revisions = self.search([("x_fc_overage_key", "=", self.x_fc_overage_key)]).mapped("x_fc_revision")
        revision = max(revisions) + 1
        values = {
            "order_id": order.id,
            "product_id": self.product_id.id,
            "name": self.name,
            "product_uom_qty": 1.0,
            "price_unit": self.x_fc_amount,
            "discount": 0.0,
            "x_fc_key": f"{self.x_fc_overage_key}#{revision}",
            "x_fc_overage_key": self.x_fc_overage_key,
            "x_fc_revision": revision,
            "x_fc_amount": self.x_fc_amount,
            "x_fc_version": self.x_fc_version,
            "x_fc_charge_id": self.x_fc_charge_id.id,
            "x_fc_usage_id": self.x_fc_usage_id.id,
            "x_fc_period_start": self.x_fc_period_start,
            "x_fc_period_end": self.x_fc_period_end,
        }
        left, locked = self.order_id, self.order_id.locked
        (left | order)._track_discard()
        left.locked = False
        moved_to = self.env._("Moved to %s.", order.name)
        self.write(
            {
                "name": f"{self.name}\n{moved_to}",
                "product_uom_qty": 0.0,
                "price_unit": 0.0,
                "discount": 0.0,
                "x_fc_amount": 0.0,
            }
        )
        left.locked = locked
        return self.with_context(sale_no_log_for_new_lines=True).create(values)

    # A credit note gives money back; it does not make the usage unbilled. Odoo's own rule would bill it again.

    def _prepare_qty_invoiced(self):
        quantities = super()._prepare_qty_invoiced()
        for line in self.filtered("x_fc_key"):
            quantities[line] = max(quantities[line], line._fc_qty_on_invoices(("draft", "posted")))
        return quantities

    def _compute_qty_invoiced_posted(self):
        res = super()._compute_qty_invoiced_posted()
        for line in self.filtered("x_fc_key"):
            line.qty_invoiced_posted = max(line.qty_invoiced_posted, line._fc_qty_on_invoices(("posted",)))
        return res

    def _fc_qty_on_invoices(self, states):
        """Return the quantity on invoices in these states, credit notes left aside, at most the ordered one."""
        self.ensure_one()
        billed = self._get_invoice_lines().filtered(
            lambda line: line.move_id.move_type == "out_invoice" and line.move_id.state in states
        )
        return min(sum(billed.mapped("quantity")), self.product_uom_qty)

    # The amount of an overage line is the pipeline's; a price list must not replace it.

    def _compute_price_unit(self):
        return super(SaleOrderLine, self.filtered(lambda line: not line.x_fc_key))._compute_price_unit()

    def _compute_discount(self):
        ours = self.filtered("x_fc_key")
        ours.discount = 0.0
        return super(SaleOrderLine, self - ours)._compute_discount()
