from odoo import fields, models


class ProductTemplate(models.Model):
    _inherit = "product.template"

    recurring_invoice = fields.Boolean(
        string="Subscription Product",
        help="Sold by subscription: its order line is invoiced again in each period.",
    )
