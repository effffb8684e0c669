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
        lineages = {order: self._fc_lineage(order) for order in orders}
        owed = self.env["fusion.billing.credit"].search(
            [("subscription_id", "in", orders.union(*lineages.values()).ids), ("state", "=", "pending")], order="id"
        )
        pending = owed.grouped("subscription_id")
        return {
            order: CreditPool(order, owed.union(*(pending.get(one, owed.browse()) for one in lineage)).sorted("id"))
            for order, lineage in lineages.items()
        }

    @api.model
    def _fc_lineage(self, order):
        """Return the order and those it renews, in the same currency: what is owed on them is owed to one customer."""
        lineage = order
        while (parent := lineage[-1:].subscription_id) and parent not in lineage:
            if parent.currency_id != order.currency_id or parent.company_id != order.company_id:
                break
            lineage += parent
        return lineage

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
