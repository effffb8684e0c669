from datetime import timedelta

from odoo import api, models

from ..lib.times import format_instant, parse_instant
from .sale_order import RUNNING_OR_PAST

# A transaction that began before the cursor may commit after it was read; none of ours lives this long.
OVERLAP = timedelta(minutes=5)


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_catalog(self, since=None):
        """Return the catalog, or with `since`, the cursor of a former page, what may have changed after it."""
        api_su = self._fc_enter().with_context(active_test=False)
        after = parse_instant(since, "since") if since else None
        records = []
        for name in ("service", "metric", "charge", "plan", "account_link", "subscription"):
            records += getattr(api_su, f"_fc_catalog_{name}")(after)
        return {
            "records": records,
            "cursor": format_instant(self.env.cr.now() - OVERLAP),
            "full": after is None,
        }

    @api.model
    def _fc_changed(self, model, after, domain=()):
        changed = [("write_date", ">=", after)] if after else []
        return self.env[model].search([*domain, *changed], order="id")

    @api.model
    def _fc_record(self, kind, record, value):
        if value is not None:
            value = {"kind": kind, "id": record.id, **value}
        return {"key": f"{kind}/{record.id}", "value": value}

    @api.model
    def _fc_catalog_service(self, after):
        """Return services and, as far as they have a webhook address, their endpoints."""
        records = []
        for service in self._fc_changed("fusion.billing.service", after):
            value = {
                "code": service.code,
                "name": service.name,
                "active": service.active,
                "api_key_hashes": service._fc_key_hashes(),
            }
            records.append(self._fc_record("service", service, value))
            if service.webhook_url:
                endpoint = {
                    "service": service.code,
                    "url": service.webhook_url,
                    "secrets": service._fc_secrets(),
                    "former_secret_until": service._fc_former_secret_until(),
                    "event_types": sorted(service.event_type_ids.mapped("code")),
                    "active": service.active,
                }
                records.append(self._fc_record("endpoint", service, endpoint))
            elif after:
                records.append(self._fc_record("endpoint", service, None))
        return records

    @api.model
    def _fc_catalog_metric(self, after):
        return [
            self._fc_record(
                "metric",
                metric,
                {
                    "service": metric.service_id.code or None,
                    "code": metric.code,
                    "name": metric.name,
                    "aggregation": metric.aggregation,
                    "unique_property": metric.unique_property or None,
                    "allow_negative": metric.allow_negative,
                    "split_pro_rata": metric.split_pro_rata,
                    "active": metric.active,
                },
            )
            for metric in self._fc_changed("fusion.billing.metric", after)
        ]

    @api.model
    def _fc_catalog_charge(self, after):
        return [
            self._fc_record("charge", charge, charge._fc_catalog_value())
            for charge in self._fc_changed("fusion.billing.charge", after)
        ]

    @api.model
    def _fc_catalog_plan(self, after):
        return [
            self._fc_record(
                "plan",
                plan,
                {
                    "name": plan.name,
                    "unit": plan.billing_period_unit,
                    "count": plan.billing_period_value,
                    "active": plan.active,
                },
            )
            for plan in self._fc_changed("sale.subscription.plan", after)
        ]

    @api.model
    def _fc_catalog_account_link(self, after):
        return [
            self._fc_record(
                "account_link",
                link,
                {"service": link.service_id.code, "external_id": link.external_id, "partner": link.partner_id.id},
            )
            for link in self._fc_changed("fusion.billing.account.link", after)
        ]

    @api.model
    def _fc_catalog_subscription(self, after):
        """Return confirmed subscriptions; time zone and customer id come from the partner, whose changes count too."""
        domain = [("x_fc_service_id", "!=", False), ("plan_id", "!=", False)]
        if after:
            # Without external id as well: a renewed order gave it to its successor, and its own record is gone.
            links = self._fc_changed("fusion.billing.account.link", after)
            domain += [
                "|",
                "|",
                ("write_date", ">=", after),
                ("partner_id.write_date", ">=", after),
                ("partner_id", "in", links.partner_id.ids),
            ]
        else:
            domain += [("x_fc_external_id", "!=", False), ("subscription_state", "in", RUNNING_OR_PAST)]
        orders = self.env["sale.order"].search(domain, order="id")
        customers = self._fc_customers(orders)
        return [self._fc_record("subscription", order, order._fc_catalog_value(customers)) for order in orders]

    @api.model
    def _fc_customers(self, orders):
        """Return {(service id, partner id): external id} of the orders' customers, the oldest link first."""
        links = self.env["fusion.billing.account.link"].search(
            [("partner_id", "in", (orders.partner_id | orders.partner_id.commercial_partner_id).ids)], order="id desc"
        )
        return {(link.service_id.id, link.partner_id.id): link.external_id for link in links}
