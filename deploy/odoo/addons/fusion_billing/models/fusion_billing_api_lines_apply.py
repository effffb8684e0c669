from decimal import Decimal

from odoo import api, models
from odoo.tools import format_date

from ..lib.numbers import from_float, grouped, money
from ..lib.overage import settle
from ..lib.periods import shown_days

COUNTERS_MAX = 2**31 - 1


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def _fc_apply(self, rows):
        """Write lines, credits and usage of rows that passed all checks. Runs inside the caller's savepoint."""
        # Within the savepoint: entering one runs the hooks that would have consumed this.
        self.env["sale.order"].union(*(row.order for row in rows))._track_discard()
        self._fc_create_usages([row for row in rows if not row.usage])
        new_lines = [(row, values) for row in rows if (values := self._fc_apply_row(row))]
        created = self.env["sale.order.line"].create([values for _row, values in new_lines])
        for (row, _values), line in zip(new_lines, created, strict=True):
            row.lines += line
        self.env.flush_all()

    @api.model
    def _fc_usage_identity(self, row):
        overage = row.overage
        return {
            "key": overage.key,
            "service_id": row.order.x_fc_service_id.id,
            "subscription_id": row.order.id,
            "charge_id": row.charge.id,
            "metric_id": row.charge.metric_id.id,
            "currency_id": row.order.currency_id.id,
            "period_start": overage.period_start,
            "period_end": overage.period_end,
            "quantity": float(overage.total),
            "amount": float(overage.amount),
        }

    @api.model
    def _fc_create_usages(self, rows):
        usages = self.env["fusion.billing.usage"].create([self._fc_usage_identity(row) for row in rows])
        for row, usage in zip(rows, usages, strict=True):
            row.usage = usage

    @api.model
    def _fc_apply_row(self, row):
        """Bring one key to its amount; return the values of the new line it needs, if any."""
        overage, book, open_line = row.overage, self._fc_book(row), self._fc_open_line(row)
        settlement = settle(book, overage.amount, self._fc_pending_credit(row.order))
        self._fc_use_credit(row.order, settlement.credit_used)
        self._fc_make_credit(row, settlement.credit_made)
        self._fc_write_usage(row, settlement)
        if open_line:
            self._fc_write_line(row, open_line, settlement.open_amount)
            changed = True
        else:
            changed = bool(settlement.open_amount or settlement.credit_used)
        row.status = self._fc_status(row, open_line, settlement, changed)
        if open_line or not settlement.open_amount:
            return None
        return self._fc_new_line(row, settlement.open_amount)

    @api.model
    def _fc_status(self, row, open_line, settlement, changed):
        if settlement.credit_made:
            return "credited"
        if not open_line and settlement.open_amount:
            return "created"
        if changed:
            return "updated"
        return "unchanged" if row.lines or row.overage.amount else "nothing"

    @api.model
    def _fc_write_usage(self, row, settlement):
        overage, usage = row.overage, row.usage
        values = {
            "subscription_id": row.order.id,
            "service_id": row.order.x_fc_service_id.id,
            "charge_id": row.charge.id,
            "metric_id": row.charge.metric_id.id,
            "currency_id": row.order.currency_id.id,
            "period_end": overage.period_end,
            "quantity": float(overage.total),
            "amount": float(overage.amount),
            "counters": min(overage.counters, COUNTERS_MAX),
            "version": overage.version_text,
            "detail": overage.detail,
            "error": False,
        }
        if settlement.credit_made:
            values["credit_raised"] = usage.credit_raised + float(settlement.credit_made)
        if settlement.credit_used:
            values["credit_applied"] = usage.credit_applied + float(settlement.credit_used)
        usage.write(values)

    @api.model
    def _fc_pending_credits(self, order):
        return self.env["fusion.billing.credit"].search(
            [("subscription_id", "=", order.id), ("state", "=", "pending")], order="id"
        )

    @api.model
    def _fc_pending_credit(self, order):
        places = order.currency_id.decimal_places
        credits_ = self._fc_pending_credits(order)
        return sum((from_float(credit.amount_pending, places) for credit in credits_), Decimal(0))

    @api.model
    def _fc_use_credit(self, order, amount):
        """Take `amount` from the order's pending credits, the oldest first."""
        places = order.currency_id.decimal_places
        for credit in self._fc_pending_credits(order) if amount else ():
            part = min(amount, from_float(credit.amount_pending, places))
            credit.amount_used = float(from_float(credit.amount_used, places) + part)
            amount -= part
            if not amount:
                return

    @api.model
    def _fc_make_credit(self, row, amount):
        if amount:
            self.env["fusion.billing.credit"].create(
                {
                    "subscription_id": row.order.id,
                    "usage_id": row.usage.id,
                    "currency_id": row.order.currency_id.id,
                    "amount": float(amount),
                }
            )

    @api.model
    def _fc_line_values(self, row, amount):
        """Return quantity, price and discount together: Odoo resets the price when the quantity comes alone."""
        return {
            "name": self._fc_describe(row, amount),
            "product_uom_qty": 1.0,
            "price_unit": float(amount),
            "discount": 0.0,
            "x_fc_version": row.overage.version_text,
        }

    @api.model
    def _fc_write_line(self, row, line, amount):
        line.write(self._fc_line_values(row, amount))

    @api.model
    def _fc_new_line(self, row, amount):
        overage = row.overage
        revision = (row.lines[-1:].x_fc_revision or 0) + 1
        return {
            **self._fc_line_values(row, amount),
            "order_id": row.order.id,
            "product_id": row.charge.product_id.id,
            "x_fc_key": f"{overage.key}#{revision}",
            "x_fc_overage_key": overage.key,
            "x_fc_revision": revision,
            "x_fc_charge_id": row.charge.id,
            "x_fc_usage_id": row.usage.id,
            "x_fc_period_start": overage.period_start,
            "x_fc_period_end": overage.period_end,
        }

    @api.model
    def _fc_describe(self, row, line_amount):
        """Return the line's text for the customer: charge, period (its last day inclusive) and the arithmetic."""
        order, overage, currency = row.order, row.overage, row.order.currency_id
        env = self.with_context(lang=order.partner_id.lang or self.env.lang).env
        days = shown_days(overage.period_start, overage.period_end, order._fc_time_zone())
        first, last = (format_date(env, day) for day in days)
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
