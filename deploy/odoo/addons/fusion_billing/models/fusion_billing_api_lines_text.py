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
        lang = order.partner_id.lang or self.env.lang
        phrases = self._fc_phrases(lang)
        first, last = self._fc_days(lang, overage, order._fc_time_zone())
        whole = f"{money(overage.amount, currency)} {currency.name}"
        sentences = [
            phrases["period"] % {"charge": row.charge.name, "first": first, "last": last},
            self._fc_describe_units(phrases, overage),
            self._fc_describe_price(phrases, overage, whole),
        ]
        if line_amount != overage.amount:
            part = {
                "before": money(overage.amount - line_amount, currency),
                "amount": money(line_amount, currency),
                "currency": currency.name,
            }
            sentences.append(phrases["part"] % part)
        return "\n".join(sentences)

    @api.model
    def _fc_phrases(self, lang):
        """Return the sentences of a line's text in a language; the rows of a call share them."""
        memo = self.env.cr.cache.setdefault("fusion_billing.phrases", {})
        if lang not in memo:
            env = self.with_context(lang=lang).env
            memo[lang] = {
                "period": env._("%(charge)s, %(first)s to %(last)s"),
                "part": env._("of which settled before: %(before)s %(currency)s; this line: %(amount)s %(currency)s"),
                "used": env._("%(total)s used"),
                "over": env._("%(total)s used, %(quota)s included: %(units)s over"),
                "batches": env._("%(batches)s × %(size)s units at %(price)s = %(amount)s"),
                "volume": env._("all at the price of the tier reached: %(amount)s"),
                "graduated": env._("each tier at its own price: %(amount)s"),
            }
        return memo[lang]

    @api.model
    def _fc_days(self, lang, overage, time_zone):
        """Return first and last day of the period as text; the rows of a call share few, and Babel is slow."""
        memo = self.env.cr.cache.setdefault("fusion_billing.days", {})
        asked = (lang, time_zone, overage.period_start, overage.period_end)
        if asked not in memo:
            env = self.with_context(lang=lang).env
            days = shown_days(overage.period_start, overage.period_end, time_zone)
            memo[asked] = tuple(format_date(env, day) for day in days)
        return memo[asked]

    @api.model
    def _fc_describe_units(self, phrases, overage):
        total = grouped(overage.total)
        if overage.charge_model == "package":
            return phrases["used"] % {"total": total}
        over = {"total": total, "quota": grouped(overage.quota), "units": grouped(overage.billable_units)}
        return phrases["over"] % over

    @api.model
    def _fc_describe_price(self, phrases, overage, amount):
        if overage.charge_model not in ("standard", "package"):
            return phrases[overage.charge_model] % {"amount": amount}
        batches = {
            "batches": grouped(overage.batches),
            "size": grouped(overage.batch_size),
            "price": grouped(overage.price_per_unit),
            "amount": amount,
        }
        return phrases["batches"] % batches
