from odoo import fields, http
from odoo.http import request

from odoo.addons.portal.controllers.portal import CustomerPortal


class UsagePortal(CustomerPortal):
    """The customer's own page with the usage of the running periods."""

    def _prepare_home_portal_values(self, counters):
        values = super()._prepare_home_portal_values(counters)
        if "fc_usage_count" in counters:
            values["fc_usage_count"] = len(self._fc_running_usage())
        return values

    @http.route("/my/usage", type="http", auth="user", website=True, readonly=True)
    def portal_my_usage(self, **_more):
        values = {**self._prepare_portal_layout_values(), **self._fc_page_values()}
        return request.render("fusion_billing.portal_my_usage", values)

    def _fc_page_values(self):
        usages = self._fc_running_usage()
        return {
            "page_name": "fc_usage",
            "default_url": "/my/usage",
            "subscriptions": [usages._fc_portal_subscription(order) for order in usages.subscription_id],
        }

    def _fc_running_usage(self):
        """Return the usage of the periods that go on now, of the user's own company or person and nobody else's."""
        partner = request.env.user.partner_id.commercial_partner_id
        now = fields.Datetime.now()
        # As superuser, since customers have no right to the model, whose other fields are finance's: the domain is
        # what limits them to their own records, and the page shows charge, quantities and amounts only.
        usage_su = request.env["fusion.billing.usage"].sudo()
        return usage_su.search(
            [
                ("partner_id.commercial_partner_id", "=", partner.id),
                ("period_start", "<=", now),
                ("period_end", ">", now),
                ("version", "!=", False),
            ],
            order="subscription_id, charge_id",
        )
