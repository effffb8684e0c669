from odoo import api, models
from odoo.exceptions import LockError, UserError

from .fusion_billing_api import RowError
from .sale_order_successor import RUNNING


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_cancel_subscriptions(self, rows):
        """Let each running subscription end with the period that is invoiced already."""
        return self._fc_enter(rows)._fc_change_subscriptions(rows, self._fc_cancel)

    @api.model
    def fc_terminate_subscriptions(self, rows):
        """End each subscription now; what it owes for usage goes to a final order."""
        return self._fc_enter(rows)._fc_change_subscriptions(rows, self._fc_terminate)

    @api.model
    def fc_reactivate_subscriptions(self, rows):
        """Take each ended subscription up again, or let one that was to end go on."""
        return self._fc_enter(rows)._fc_change_subscriptions(rows, self._fc_reactivate)

    @api.model
    def _fc_change_subscriptions(self, rows, change):
        return [self._fc_change_subscription(row, change) for row in rows]

    @api.model
    def _fc_change_subscription(self, row, change):
        external_id = row.get("external_id") if isinstance(row, dict) else None
        result = {"external_id": external_id, "status": "error", "subscription_id": None, "subscription_state": None}
        try:
            if not isinstance(row, dict):
                raise RowError("a row must be an object")
            with self.env.cr.savepoint():
                order = self._fc_find_subscription(row)
                change(order)
        except RowError as error:
            return {**result, "error": str(error), **({"field": error.field} if error.field else {})}
        except LockError:
            raise  # another call works on it: the same call will succeed later
        except UserError as error:
            return {**result, "error": str(error)}
        return {
            "external_id": order.x_fc_external_id,
            "status": "ok",
            "subscription_id": order.id,
            "subscription_state": order.subscription_state,
        }

    @api.model
    def _fc_find_subscription(self, row):
        """Return the row's order, locked against other calls, or raise RowError."""
        service, external_id = self._fc_service(row), self._fc_text(row, "external_id")
        order = self.env["sale.order"].search(
            [
                ("x_fc_service_id", "=", service.id),
                ("x_fc_external_id", "=", external_id),
                ("is_subscription", "=", True),
            ]
        )
        if not order:
            raise RowError(f"there is no subscription {external_id} of {service.code}", "external_id")
        order.lock_for_update(allow_referencing=True)
        if order.state != "sale":
            raise RowError(f"the subscription {external_id} is not confirmed (its state is {order.state})")
        return order.with_company(order.company_id)

    @api.model
    def _fc_cancel(self, order):
        if order.subscription_state in RUNNING and not order.end_date:
            order.end_date = order.next_invoice_date

    @api.model
    def _fc_terminate(self, order):
        if order.subscription_state in RUNNING:
            order.set_close()

    @api.model
    def _fc_reactivate(self, order):
        if order.subscription_state == "6_churn":
            order.reopen_order()
        elif order.subscription_state in RUNNING:
            order.end_date = False
        else:
            raise RowError(f"a subscription in state {order.subscription_state} cannot be reactivated")
