from odoo import api, models
from odoo.tools import format_date

from ..lib.numbers import grouped, money
from ..lib.periods import shown_days


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def _fc_describe(self, row, line_amount):
        """Return the line's text for the customer: charge, period (its last day inclusive) and the arithmetic."""
        order, overage, currency = row.order, row.overage, row.order.currency_id
        env = self.with_context(lang=order.partner_id.lang or self.env.lang).env
        first, last = self._fc_days(env, overage, order._fc_time_zone())
        sentences = [
            env._("%(charge)s, %(first)s to %(last)s", charge=row.charge.name, first=first, last=last),
            self._fc_describe_units(env, overage),
            self._fc_describe_price(env, overage, f"{money(overage.amount, currency)} {currency.name}"),
        ]
        if line_amount != overage.amount:
            sentences.append(
                env._(
                    "of which settled before: %(before)s %(currency)s; this line: %(amount)s %(currency)s",
                    before=money(overage.amount - line_amount, currency),
                    amount=money(line_amount, currency),
                    currency=currency.name,
                )
            )
        return "\n".join(sentences)

    @api.model
    def _fc_days(self, env, overage, time_zone):
        """Return first and last day of the period as text; the rows of a call share few, and Babel is slow."""
        memo = env.cr.cache.setdefault("fusion_billing.days", {})
        asked = (env.lang, time_zone, overage.period_start, overage.period_end)
        if asked not in memo:
            days = shown_days(overage.period_start, overage.period_end, time_zone)
            memo[asked] = tuple(format_date(env, day) for day in days)
        return memo[asked]

    @api.model
    def _fc_describe_units(self, env, overage):
        if overage.charge_model == "package":
            return env._("%(total)s used", total=grouped(overage.total))
        return env._(
            "%(total)s used, %(quota)s included: %(units)s over",
            total=grouped(overage.total),
            quota=grouped(overage.quota),
            units=grouped(overage.billable_units),
        )

    @api.model
    def _fc_describe_price(self, env, overage, amount):
        if overage.charge_model in ("standard", "package"):
            return env._(
                "%(batches)s × %(size)s units at %(price)s = %(amount)s",
                batches=grouped(overage.batches),
                size=grouped(overage.batch_size),
                price=grouped(overage.price_per_unit),
                amount=amount,
            )
        if overage.charge_model == "volume":
            return env._("all at the price of the tier reached: %(amount)s", amount=amount)
        return env._("each tier at its own price: %(amount)s", amount=amount)
