from decimal import Decimal

from odoo import api, models

from ..lib.numbers import from_float, money
from ..lib.overage import Book
from ..lib.periods import shown_days
from .sale_order_successor import CLOSED


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def _fc_resolve(self, rows):
        """Find order, charge, usage and lines of each row, with one query each."""
        wanted = [row.overage for row in rows]
        orders = self.env["sale.order"].search(
            [
                ("x_fc_service_id.code", "in", list({overage.service for overage in wanted})),
                ("x_fc_external_id", "in", list({overage.subscription for overage in wanted})),
            ]
        )
        order_by_id = {(order.x_fc_service_id.code, order.x_fc_external_id): order for order in orders}
        charges = self.env["fusion.billing.charge"].search(
            [("code", "in", list({overage.charge for overage in wanted}))]
        )
        charge_by_code = {charge.code: charge for charge in charges}
        keys = [overage.key for overage in wanted]
        usages = {usage.key: usage for usage in self.env["fusion.billing.usage"].search([("key", "in", keys)])}
        lines = self.env["sale.order.line"].search([("x_fc_overage_key", "in", keys)]).grouped("x_fc_overage_key")
        for row in rows:
            overage = row.overage
            row.order = order_by_id.get((overage.service, overage.subscription), self.env["sale.order"])
            row.charge = charge_by_code.get(overage.charge, self.env["fusion.billing.charge"])
            row.usage = usages.get(overage.key, self.env["fusion.billing.usage"])
            row.is_usage_new, row.book = False, None
            row.lines = lines.get(overage.key, self.env["sale.order.line"]).sorted("x_fc_revision")

    @api.model
    def _fc_book(self, row):
        """Return what the row's key has come to so far."""
        places = row.order.currency_id.decimal_places
        open_line = self._fc_open_line(row)
        fixed = sum((line._fc_own_amount() for line in row.lines - open_line), Decimal(0))
        return Book(
            fixed=fixed,
            open_amount=open_line._fc_own_amount() if open_line else None,
            credit_raised=from_float(row.usage.credit_raised, places),
            credit_applied=from_float(row.usage.credit_applied, places),
            waived=from_float(row.usage.waived, places),
            refunded=sum((line._fc_refunded() for line in row.lines if line._fc_is_frozen()), Decimal(0)),
        )

    @api.model
    def _fc_open_line(self, row):
        """Return the last line that is not on an invoice yet, or an empty record.

        One that bills nothing does not count where nothing is billed any more: it was moved to another order.
        """
        return row.lines.filtered(
            lambda line: (
                not line._fc_is_frozen() and (line.x_fc_amount or line.order_id.subscription_state not in CLOSED)
            )
        )[-1:]

    @api.model
    def _fc_refusal(self, row):
        """Return why the row can belong to no order and charge of ours, or None."""
        overage, order, charge = row.overage, row.order, row.charge
        if not order:
            return f"there is no subscription {overage.subscription} of service {overage.service}"
        if not charge:
            return f"there is no charge {overage.charge}"
        if charge.service_id and charge.service_id != order.x_fc_service_id:
            return f"the charge {overage.charge} belongs to another service"
        if charge.company_id != order.company_id:
            return f"the charge {overage.charge} belongs to another company, whose taxes do not apply"
        if overage.amount and not row.lines and not charge._fc_is_valid_on(self._fc_first_day(row)):
            return f"the charge {overage.charge} is not valid for a period that starts on {self._fc_first_day(row)}"
        if overage.currency != order.currency_id.name:
            return f"the amount is in {overage.currency}, the subscription in {order.currency_id.name}"
        if overage.amount % Decimal(1).scaleb(-order.currency_id.decimal_places):
            return f"the amount has more decimals than {overage.currency}"
        return None

    @api.model
    def _fc_first_day(self, row):
        return shown_days(row.overage.period_start, row.overage.period_end, row.order._fc_time_zone())[0]

    @api.model
    def _fc_changed_by_hand(self, row):
        """Return that and how a person changed one of the lines, or None. Nothing overwrites what a person decided."""
        for line in row.lines.filtered(lambda line: line._fc_is_changed_by_hand()):
            own, shown = (money(part, line.currency_id) for part in (line._fc_own_amount(), line._fc_shown_amount()))
            return (
                f"the line of {line.order_id.name}, revision {line.x_fc_revision}, was changed by hand from {own} to "
                f"{shown}: accept or undo the change on its usage"
            )
        return None

    @api.model
    def _fc_not_billable(self, row):
        """Return why no order can take a line now, or None. Odoo itself would let some of these pass silently."""
        _order, refusal = row.order._fc_destination()
        if refusal:
            return refusal
        product = row.charge.product_id
        if not product.active:
            return f"the product of charge {row.overage.charge} is archived"
        if not self._fc_has_income_account(product, row.order.company_id):
            return f"the product of charge {row.overage.charge} has no income account, nor has the sales journal"
        return None

    @api.model
    def _fc_has_income_account(self, product, company):
        """Tell whether an invoice line of the product would find an account, as Odoo looks for it."""
        if product.with_company(company).product_tmpl_id._get_product_accounts()["income"]:
            return True
        journals = self.env["account.journal"].search([("type", "=", "sale"), ("company_id", "=", company.id)])
        return bool(journals.default_account_id)
