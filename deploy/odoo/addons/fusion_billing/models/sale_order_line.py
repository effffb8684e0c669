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

    # The amount of an overage line is the pipeline's; a price list must not replace it.

    def _compute_price_unit(self):
        return super(SaleOrderLine, self.filtered(lambda line: not line.x_fc_key))._compute_price_unit()

    def _compute_discount(self):
        ours = self.filtered("x_fc_key")
        ours.discount = 0.0
        return super(SaleOrderLine, self - ours)._compute_discount()
