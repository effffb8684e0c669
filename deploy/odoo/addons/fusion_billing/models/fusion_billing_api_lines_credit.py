from decimal import Decimal

from odoo import api, models

from ..lib.numbers import from_float


class CreditPool:
    """The pending credits of one subscription during one call, the oldest first."""

    def __init__(self, order, credits_):
        self._places = order.currency_id.decimal_places
        self._credits = list(credits_)

    @property
    def pending(self):
        """What can still be used up."""
        return sum((from_float(credit.amount_pending, self._places) for credit in self._credits), Decimal(0))

    def take(self, amount):
        """Use up `amount`, at most what is pending."""
        for credit in self._credits if amount else ():
            part = min(amount, from_float(credit.amount_pending, self._places))
            if part:
                credit.amount_used = float(from_float(credit.amount_used, self._places) + part)
                amount -= part

    def add(self, credit):
        """Let later rows of the call use a credit that this one made."""
        self._credits.append(credit)


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def _fc_credit_pools(self, orders):
        """Return {order: CreditPool}, with one query for all orders."""
        pending = (
            self.env["fusion.billing.credit"]
            .search([("subscription_id", "in", orders.ids), ("state", "=", "pending")], order="id")
            .grouped("subscription_id")
        )
        return {order: CreditPool(order, pending.get(order, ())) for order in orders}

    @api.model
    def _fc_make_credit(self, row, amount, pool):
        if not amount:
            return
        credit = self.env["fusion.billing.credit"].create(
            {
                "subscription_id": row.order.id,
                "usage_id": row.usage.id,
                "currency_id": row.order.currency_id.id,
                "amount": float(amount),
            }
        )
        pool.add(credit)
