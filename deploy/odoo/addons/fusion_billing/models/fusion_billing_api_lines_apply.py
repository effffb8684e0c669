from odoo import api, models

from ..lib.overage import settle
from .fusion_billing_api_lines import COUNTERS_MAX


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def _fc_apply(self, rows):
        """Write lines, credits and usage of rows that passed all checks. Runs inside the caller's savepoint."""
        self._fc_find_targets(rows)
        orders = self.env["sale.order"].union(*(row.target for row in rows))
        # Within the savepoint: entering one runs the hooks that would have consumed this.
        orders._track_discard()
        orders.order_line.fetch(["price_unit", "tax_ids"])  # or Odoo would read them order by order
        self._fc_create_usages([row for row in rows if not row.usage])
        pools = self._fc_credit_pools(self.env["sale.order"].union(*(row.order for row in rows)))
        new_lines = [(row, values) for row in rows if (values := self._fc_apply_row(row, pools[row.order]))]
        self._fc_store_accepted([row for row in rows if not row.is_usage_new])
        self._fc_store_changed([row for row in rows if row.changed_line])
        self._fc_spare_analytics([values for _row, values in new_lines])
        created = self.env["sale.order.line"].create([values for _row, values in new_lines])
        for (row, _values), line in zip(new_lines, created, strict=True):
            row.lines += line
        self.env.flush_all()

    @api.model
    def _fc_find_targets(self, rows):
        """Find the order that takes each row's line, make the final orders that are missing, move lines there."""
        finals = {}
        for row in rows:
            row.target = row.order
            if not row.is_due:
                continue
            row.target, _refusal = row.order._fc_destination()
            if not row.target:
                row.target = finals.get(row.order) or row.order._fc_make_final_order()
                finals[row.order] = row.target
            open_line = self._fc_open_line(row)
            if open_line and open_line.order_id != row.target:
                row.lines += open_line._fc_move_to(row.target)
                row.book = None

    @api.model
    def _fc_spare_analytics(self, vals_list):
        """Say that lines have no analytic distribution where no rule could give them one; Odoo would search for each."""
        if not self.env["account.analytic.distribution.model"].search_count([], limit=1):
            for vals in vals_list:
                vals["analytic_distribution"] = False

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
        """Record usage that is new, whole at once: a create and a write would cost twice as much."""
        usages = self.env["fusion.billing.usage"].create(
            [
                self._fc_usage_identity(row)
                | {
                    "counters": min(row.overage.counters, COUNTERS_MAX),
                    "version": row.overage.version_text,
                    "detail": row.overage.detail,
                    "fingerprint": row.fingerprint,
                }
                for row in rows
            ]
        )
        for row, usage in zip(rows, usages, strict=True):
            row.usage, row.is_usage_new = usage, True

    @api.model
    def _fc_apply_row(self, row, pool):
        """Bring one key to its amount; return the values of the new line it needs, if any."""
        row.changed_line = None  # of an attempt that was rolled back
        overage, book, open_line = row.overage, row.book or self._fc_book(row), self._fc_open_line(row)
        settlement = settle(book, book.goal(overage.amount), pool.pending)
        pool.take(settlement.credit_used)
        self._fc_make_credit(row, settlement.credit_made, pool)
        self._fc_write_usage(row, settlement)
        if open_line and (row.is_due or not open_line.order_id.locked):
            self._fc_change_line(row, open_line, settlement.open_amount)
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
        """Write what changes rarely; `_fc_store_accepted` has the rest."""
        usage, values = row.usage, {}
        if usage.subscription_id != row.order or usage.charge_id != row.charge or not usage.version:
            values |= self._fc_usage_identity(row)
        if usage.error:
            values["error"] = False
        if settlement.credit_made:
            values["credit_raised"] = usage.credit_raised + float(settlement.credit_made)
        if settlement.credit_used:
            values["credit_applied"] = usage.credit_applied + float(settlement.credit_used)
        if values:
            usage.write(values)

    @api.model
    def _fc_line_values(self, row, amount):
        """Return quantity, price and discount together: Odoo resets the price when the quantity comes alone."""
        return {
            "name": self._fc_describe(row, amount),
            "product_uom_qty": 1.0,
            "price_unit": float(amount),
            "discount": 0.0,
            "x_fc_amount": float(amount),
            "x_fc_version": row.overage.version_text,
        }

    @api.model
    def _fc_change_line(self, row, line, amount):
        """Give a line its new amount. Odoo learns of the price, from which all else follows; the rest is stored later.

        Whatever is unusual about the line (locked, quantity or discount not ours) is written whole, Odoo's own way.
        """
        values = self._fc_line_values(row, amount)
        if line.order_id.locked or line.discount or line.product_uom_qty != values["product_uom_qty"]:
            line.write(values)
            return
        if line.price_unit != values["price_unit"]:
            line.write({"price_unit": values["price_unit"]})
        row.changed_line, row.changed_name, row.changed_amount = line, values["name"], amount

    @api.model
    def _fc_new_line(self, row, amount):
        overage = row.overage
        revision = (row.lines[-1:].x_fc_revision or 0) + 1
        return {
            **self._fc_line_values(row, amount),
            "order_id": row.target.id,
            "product_id": row.charge.product_id.id,
            "x_fc_key": f"{overage.key}#{revision}",
            "x_fc_overage_key": overage.key,
            "x_fc_revision": revision,
            "x_fc_charge_id": row.charge.id,
            "x_fc_usage_id": row.usage.id,
            "x_fc_period_start": overage.period_start,
            "x_fc_period_end": overage.period_end,
        }
