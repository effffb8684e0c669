from datetime import timedelta

from odoo import api, models

from ..lib.numbers import from_float, plain
from ..lib.times import format_instant, parse_instant
from .fusion_billing_charge import PRICE_DIGITS, QUANTITY_DIGITS, TIERED

# A transaction that began before the cursor may commit after it was read; none of ours lives this long.
OVERLAP = timedelta(minutes=5)
RUNNING_OR_PAST = ("3_progress", "4_paused", "5_renewed", "6_churn")


class FusionBillingApi(models.AbstractModel):
    _inherit = "fusion.billing.api"

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
                "api_key_hashes": [service.api_key_hash] if service.api_key_hash else [],
            }
            records.append(self._fc_record("service", service, value))
            if service.webhook_url:
                endpoint = {
                    "service": service.code,
                    "url": service.webhook_url,
                    "secrets": [service.webhook_secret],
                    "event_types": [],
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
        domain = [("x_fc_service_id", "!=", False), ("x_fc_external_id", "!=", False), ("plan_id", "!=", False)]
        if after:
            links = self._fc_changed("fusion.billing.account.link", after)
            domain += [
                "|",
                "|",
                ("write_date", ">=", after),
                ("partner_id.write_date", ">=", after),
                ("partner_id", "in", links.partner_id.ids),
            ]
        else:
            domain.append(("subscription_state", "in", RUNNING_OR_PAST))
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


class FusionBillingCharge(models.Model):
    _inherit = "fusion.billing.charge"

    def _fc_catalog_value(self):
        self.ensure_one()
        tiers = self.tier_ids._fc_sorted() if self.charge_model in TIERED else ()
        return {
            "code": self.code,
            "name": self.name,
            "service": self.service_id.code or None,
            "metric": self.metric_id.code,
            "plan_code": self.plan_code or None,
            "plan": self.plan_id.id or None,
            "product": self.product_id.id,
            "included_quota": plain(from_float(self.included_quota, QUANTITY_DIGITS[1])),
            "price_per_unit": plain(from_float(self.price_per_unit, PRICE_DIGITS[1])),
            "unit_batch": plain(from_float(self.unit_batch, QUANTITY_DIGITS[1])),
            "charge_model": self.charge_model,
            "currency": self.currency_id.name,
            "tiers": [
                {
                    "up_to": None if tier._fc_up_to() is None else plain(tier._fc_up_to()),
                    "price_per_unit": plain(from_float(tier.price_per_unit, PRICE_DIGITS[1])),
                    "flat_fee": plain(from_float(tier.flat_fee, PRICE_DIGITS[1])),
                }
                for tier in tiers
            ],
            "active": self.active,
        }


class SaleOrder(models.Model):
    _inherit = "sale.order"

    def _fc_time_zone(self):
        """Return the zone whose midnights bound the subscription's periods."""
        self.ensure_one()
        return self.partner_id.tz or self.company_id.partner_id.tz or "UTC"

    def _fc_catalog_value(self, customers):
        """Return the subscription's catalog record, or None for an order that is no running or past one."""
        self.ensure_one()
        if self.subscription_state not in RUNNING_OR_PAST or not self.start_date:
            return None
        service, partner = self.x_fc_service_id.id, self.partner_id
        return {
            "service": self.x_fc_service_id.code,
            "external_id": self.x_fc_external_id,
            "customer": customers.get((service, partner.id))
            or customers.get((service, partner.commercial_partner_id.id)),
            "partner": partner.id,
            "plan": self.plan_id.id,
            "plan_code": self.x_fc_plan_code or None,
            "currency": self.currency_id.name,
            "state": "6_churn" if self.state == "cancel" else self.subscription_state,
            "anchor": self.start_date.isoformat(),
            "next_invoice_date": self.next_invoice_date and self.next_invoice_date.isoformat() or None,
            "end_date": self.end_date and self.end_date.isoformat() or None,
            "time_zone": self._fc_time_zone(),
        }
