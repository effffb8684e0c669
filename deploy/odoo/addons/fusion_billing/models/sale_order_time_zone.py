from odoo import fields, models
from odoo.exceptions import UserError

from odoo.addons.base.models.res_partner import _tz_get


class SaleOrder(models.Model):
    """The zone whose midnights bound a subscription's periods.

    Odoo gives a customer the browser's time zone at the first login to the portal. So that this moves no period, a
    subscription keeps the zone that it began with.
    """

    _inherit = "sale.order"

    x_fc_time_zone = fields.Selection(
        _tz_get,
        string="Time Zone of Periods",
        copy=False,
        tracking=True,
        help="Billing periods begin at midnight there. Taken from the customer, else from the company, when the "
        "subscription begins; fixed once something was invoiced.",
    )

    def write(self, vals):
        if "x_fc_time_zone" in vals:
            self._fc_check_time_zone(vals["x_fc_time_zone"])
        return super().write(vals)

    def _fc_time_zone(self):
        """Return the zone of the subscription's periods; before it begins, the one that it would begin with."""
        self.ensure_one()
        return self.x_fc_time_zone or self.partner_id.tz or self.company_id.partner_id.tz or "UTC"

    def _fc_fix_time_zone(self):
        """Keep the zone of now."""
        self.ensure_one()
        if not self.x_fc_time_zone:
            self.x_fc_time_zone = self._fc_time_zone()

    def _fc_check_time_zone(self, zone):
        for order in self.filtered(lambda order: order.x_fc_time_zone and order.x_fc_time_zone != zone):
            # As superuser: whoever may change the order need not be allowed to see its usage.
            if order.sudo().x_fc_usage_ids.line_ids.filtered(lambda line: line._fc_is_frozen()):
                raise UserError(
                    self.env._(
                        "Usage of %(order)s was invoiced by periods of the time zone %(zone)s: "
                        "it cannot change any more.",
                        order=order.name,
                        zone=order.x_fc_time_zone,
                    )
                )
