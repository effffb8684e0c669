import psycopg2

from odoo import Command, api, models
from odoo.exceptions import ConcurrencyError, UserError

from ..lib.numbers import parse_decimal
from ..lib.times import parse_date
from .fusion_billing_api import RowError

LINES_MAX = 100


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_create_subscriptions(self, rows):
        """Create and confirm each subscription, or answer the one that has this external id already."""
        api_su = self._fc_enter(rows)
        try:
            return [api_su._fc_subscription_result(row) for row in rows]
        except psycopg2.errors.UniqueViolation as error:
            raise ConcurrencyError(str(error)) from error

    @api.model
    def _fc_subscription_result(self, row):
        external_id = row.get("external_id") if isinstance(row, dict) else None
        result = {
            "external_id": external_id,
            "status": "error",
            "subscription_id": None,
            "subscription_state": None,
        }
        try:
            if not isinstance(row, dict):
                raise RowError("a row must be an object")
            with self.env.cr.savepoint():
                order = self._fc_create_subscription(row)
        except RowError as error:
            return {**result, "error": str(error), **({"field": error.field} if error.field else {})}
        except UserError as error:
            return {**result, "error": str(error)}
        return {
            "external_id": order.x_fc_external_id or None,
            "status": "ok",
            "subscription_id": order.id,
            "subscription_state": order.subscription_state or None,
        }

    @api.model
    def _fc_create_subscription(self, row):
        service = self._fc_service(row)
        external_id = self._fc_text(row, "external_id", required=False)
        orders = self.env["sale.order"].with_company(service.company_id)
        if external_id:
            order = orders.search([("x_fc_service_id", "=", service.id), ("x_fc_external_id", "=", external_id)])
            if order:
                return order
        order = orders.create(
            {
                "partner_id": self._fc_customer_of(service, row).id,
                "company_id": service.company_id.id,
                "user_id": False,
                "plan_id": self._fc_plan(service, row).id,
                "x_fc_service_id": service.id,
                "x_fc_external_id": external_id,
                "x_fc_plan_code": self._fc_text(row, "plan_code", required=False),
                "start_date": self._fc_start_date(row),
                "order_line": [Command.create(values) for values in self._fc_product_lines(service, row)],
            }
        )
        order.action_confirm()
        return order

    @api.model
    def _fc_customer_of(self, service, row):
        external_id = self._fc_text(row, "external_customer_id")
        link = self.env["fusion.billing.account.link"].search(
            [("service_id", "=", service.id), ("external_id", "=", external_id)]
        )
        if not link:
            raise RowError(f"there is no customer {external_id} of {service.code}", "external_customer_id")
        return link.partner_id

    @api.model
    def _fc_plan(self, service, row):
        plan_id = row.get("plan_id")
        plan = self.env["sale.subscription.plan"]
        if isinstance(plan_id, int) and not isinstance(plan_id, bool) and 0 < plan_id < 2**31:
            plan = plan.browse(plan_id).exists().filtered("active")
        if not plan or (plan.company_id and plan.company_id != service.company_id):
            raise RowError(f"there is no active recurring plan {plan_id!r:.40}", "plan_id")
        return plan

    @api.model
    def _fc_start_date(self, row):
        value = row.get("start_date")
        if not value:
            return False
        try:
            return parse_date(value, "start_date")
        except ValueError as error:
            raise RowError(str(error), "start_date") from error

    @api.model
    def _fc_product_lines(self, service, row):
        lines = row.get("lines") or []
        if not isinstance(lines, list) or len(lines) > LINES_MAX:
            raise RowError(f"lines must be a list of at most {LINES_MAX} products", "lines")
        return [self._fc_product_line(service, line, index) for index, line in enumerate(lines)]

    @api.model
    def _fc_product_line(self, service, line, index):
        field = f"lines.{index}"
        product_id = line.get("product_id") if isinstance(line, dict) else None
        product = self.env["product.product"]
        if isinstance(product_id, int) and not isinstance(product_id, bool) and 0 < product_id < 2**31:
            product = product.browse(product_id).exists().filtered(lambda found: found.active and found.sale_ok)
        if not product or (product.company_id and product.company_id != service.company_id):
            raise RowError(f"there is no product {product_id!r:.40} for sale", f"{field}.product_id")
        try:
            quantity = parse_decimal(line.get("quantity"), f"{field}.quantity")
        except ValueError as error:
            raise RowError(str(error), f"{field}.quantity") from error
        if not 0 < quantity < 10**9:
            raise RowError(f"{field}.quantity must be above zero", f"{field}.quantity")
        return {"product_id": product.id, "product_uom_qty": float(quantity)}
