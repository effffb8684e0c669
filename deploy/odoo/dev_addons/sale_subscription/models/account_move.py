from odoo import fields, models


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    subscription_id = fields.Many2one("sale.order", index="btree_not_null", copy=True)
    deferred_start_date = fields.Date(copy=False)
    deferred_end_date = fields.Date(copy=False)


class AccountMove(models.Model):
    _inherit = "account.move"

    def _post(self, soft=True):
        """Posting the invoice of a period, not making its draft, moves the subscription on."""
        posted = super()._post(soft=soft)
        for move in posted.filtered(lambda move: move.move_type == "out_invoice"):
            periods = {}
            for line in move.invoice_line_ids:
                if line.subscription_id and line.deferred_start_date:
                    periods[line.subscription_id] = line.deferred_start_date
            for order, start in periods.items():
                order.sudo()._advance_after_invoice(start)
        return posted
