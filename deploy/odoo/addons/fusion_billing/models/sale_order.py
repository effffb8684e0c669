from odoo import Command, fields, models

RUNNING_OR_PAST = ("3_progress", "4_paused", "5_renewed", "6_churn")


class SaleOrder(models.Model):
    _name = "sale.order"
    _inherit = ["sale.order", "fusion.billing.outbox.mixin"]

    x_fc_service_id = fields.Many2one(
        "fusion.billing.service", string="Billing Service", index="btree_not_null", ondelete="restrict", tracking=True
    )
    x_fc_external_id = fields.Char(
        string="External ID", copy=False, help="The app's own id of the subscription. Empty: the order's number id."
    )
    x_fc_plan_code = fields.Char(string="Plan Code", help="What the customer bought, as the apps call it.")
    x_fc_usage_ids = fields.One2many("fusion.billing.usage", "subscription_id", string="Usage Records")
    x_fc_usage_count = fields.Integer(string="Usage", compute="_compute_x_fc_usage_count")

    _x_fc_external_id_unique = models.UniqueIndex(
        "(x_fc_service_id, x_fc_external_id) WHERE x_fc_external_id IS NOT NULL",
        "Another order of this service has this external id.",
    )

    def _compute_x_fc_usage_count(self):
        counts = dict(
            self.env["fusion.billing.usage"]._read_group(
                [("subscription_id", "in", self.ids)], ["subscription_id"], ["__count"]
            )
        )
        for order in self:
            order.x_fc_usage_count = counts.get(order, 0)

    def action_x_fc_open_usage(self):
        """Open the usage of this subscription."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("fusion_billing.fusion_billing_usage_action")
        return {**action, "domain": [("subscription_id", "=", self.id)], "context": {}}

    def action_confirm(self):
        self._fc_inherit_subscription()
        for order in self.filtered(lambda order: order.x_fc_service_id and order.plan_id):
            order._fc_ensure_external_id()
            order._fc_fix_time_zone()
            if not order.order_line.filtered("recurring_invoice"):
                order._fc_add_recurring_line()
        return super().action_confirm()

    def _fc_ensure_external_id(self):
        """Give an order that an app did not name its number as external id: one field to look orders up by."""
        self.ensure_one()
        if not self.x_fc_external_id:
            self.x_fc_external_id = str(self.id)

    def _fc_add_recurring_line(self):
        """Add a free recurring line: a subscription without one cannot be confirmed, and a usage plan may have none."""
        self.ensure_one()
        name = self.env._("Subscription %s", self.x_fc_plan_code or self.plan_id.name)
        # As superuser: a salesperson need not be allowed to create products.
        product = (
            self.env["product.product"]
            .sudo()
            .search(
                [
                    ("name", "=", name),
                    ("recurring_invoice", "=", True),
                    ("list_price", "=", 0),
                    ("company_id", "in", [False, self.company_id.id]),
                ],
                limit=1,
            )
        )
        if not product:
            product = product.with_company(self.company_id).create(
                {
                    "name": name,
                    "type": "service",
                    "invoice_policy": "order",
                    "recurring_invoice": True,
                    "list_price": 0.0,
                    "purchase_ok": False,
                    "taxes_id": [Command.set(self.company_id.account_sale_tax_id.ids)],
                }
            )
        self.write({"order_line": [Command.create({"product_id": product.id, "product_uom_qty": 1})]})

    def _prepare_invoice(self):
        values = super()._prepare_invoice()
        # Always there, as invoices are sorted by their grouping keys.
        values["x_fc_subscription_id"] = (self.x_fc_final_for_id or self).id if self.x_fc_service_id else False
        return values

    def _get_invoice_grouping_keys(self):
        # One invoice per subscription, and so per service.
        return [*super()._get_invoice_grouping_keys(), "x_fc_subscription_id"]

    def _fc_watched_fields(self):
        return frozenset({"state", "subscription_state", "x_fc_service_id"})

    def _fc_lifecycle(self):
        """Return the order's life as the apps see it: not begun (False), active, paused, renewed or ended."""
        self.ensure_one()
        if self.state == "cancel":
            return "ended" if self.x_fc_announced else False
        if self.state != "sale":
            return False
        return {"3_progress": "active", "4_paused": "paused", "5_renewed": "renewed", "6_churn": "ended"}.get(
            self.subscription_state, False
        )

    def _fc_announce(self):
        for order in self.filtered("x_fc_service_id"):
            before, now = order.x_fc_announced or False, order._fc_lifecycle()
            if now == before:
                continue
            if now in ("active", "paused"):
                # An order may be given to a service after it was confirmed.
                order._fc_ensure_external_id()
                order._fc_fix_time_zone()
                order._fc_admit_usage()
            event = order._fc_event_of(before, now)
            if event:
                self.env["fusion.billing.event"]._fc_emit(event, order, order._fc_event_data())
            if order.state == "cancel":
                order._fc_refuse_open_usage()
            if now in ("renewed", "ended"):
                # As superuser: whoever closes a subscription need not be allowed to start jobs.
                self.env.ref("fusion_billing.ir_cron_settle_closed").sudo()._trigger()
            order.x_fc_announced = now

    def _fc_event_of(self, before, now):
        """Return the lifecycle event of a change; the app hears of a renewal once, from the order it goes on in."""
        self.ensure_one()
        if now == "active" and not before and self.subscription_id.x_fc_service_id == self.x_fc_service_id:
            return "subscription.renewed"
        if now == "active":
            return {"paused": "subscription.resumed", "ended": "subscription.reactivated"}.get(
                before, "subscription.started"
            )
        return {"paused": "subscription.paused", "ended": "subscription.terminated"}.get(now)

    def _fc_event_data(self):
        self.ensure_one()
        return {
            "subscription_id": self.id,
            "order": self.name,
            "plan_code": self.x_fc_plan_code or None,
            "state": self.subscription_state or None,
            "start_date": self.start_date and self.start_date.isoformat() or None,
            "end_date": self.end_date and self.end_date.isoformat() or None,
        }

    def _fc_anchor(self):
        """Return the day from which the billing periods count.

        A renewal goes on with the periods of the first contract where both fall on the same days, so that late
        counters of the time before it keep their period.
        """
        self.ensure_one()
        first, start = self.first_contract_date, self.start_date
        if not first or first >= start or self.subscription_id.plan_id != self.plan_id:
            return start
        length, unit = self.plan_id.billing_period_value, self.plan_id.billing_period_unit
        months = (start.year - first.year) * 12 + start.month - first.month
        agrees = {
            "week": (start - first).days % (7 * length) == 0,
            "month": start.day == first.day and months % length == 0,
            "year": start.day == first.day and months % (12 * length) == 0,
        }
        return first if agrees.get(unit) else start

    def _fc_catalog_value(self, customers):
        """Return the subscription's catalog record, or None for an order that is no running or past one."""
        self.ensure_one()
        if self.subscription_state not in RUNNING_OR_PAST or not self.start_date or not self.x_fc_external_id:
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
            "anchor": self._fc_anchor().isoformat(),
            "next_invoice_date": self.next_invoice_date and self.next_invoice_date.isoformat() or None,
            "end_date": self.end_date and self.end_date.isoformat() or None,
            "time_zone": self._fc_time_zone(),
        }
