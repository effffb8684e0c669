from odoo import api, fields, models


class SaleOrderLine(models.Model):
    _inherit = "sale.order.line"

    recurring_invoice = fields.Boolean(related="product_id.product_tmpl_id.recurring_invoice")
    last_invoiced_date = fields.Date(copy=False, help="Last day of the last invoiced period.")

    @api.depends("recurring_invoice", "order_id.subscription_state")
    def _compute_qty_to_invoice(self):
        """A recurring line is due again in each period, whatever was invoiced before."""
        res = super()._compute_qty_to_invoice()
        for line in self:
            if not line.recurring_invoice or not line.order_id.is_subscription or line.state != "sale":
                continue
            if line.order_id.subscription_state != "3_progress":
                line.qty_to_invoice = 0
            elif line.product_id.invoice_policy == "order":
                line.qty_to_invoice = line.product_uom_qty
            else:
                line.qty_to_invoice = line.qty_delivered
        return res

    def _prepare_invoice_line(self, **optional_values):
        """Tie the invoice line to the subscription and, if recurring, to the period it pays in advance."""
        values = super()._prepare_invoice_line(**optional_values)
        order = self.order_id
        if not order.is_subscription or self.display_type:
            return values
        values["subscription_id"] = order.id
        if self.recurring_invoice and order.next_invoice_date:
            start, end = order._get_invoice_period()
            values["deferred_start_date"] = start
            values["deferred_end_date"] = fields.Date.subtract(end, days=1)
        return values
