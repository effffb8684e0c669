import json
from decimal import Decimal

from odoo import api, models
from odoo.tools import float_compare

from ..lib.numbers import from_float, money
from ..lib.overage import parse_version

QUANTITY_DIGITS = 6  # of the column that people see


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_read_lines(self, keys=None, line_ids=None):
        """Return what Odoo holds of overage keys, or of the order lines with these ids: usage, lines, invoices.

        At most 500 of each; keys that Odoo does not know are left out.
        """
        api_su = self._fc_enter(keys or ())._fc_enter(line_ids or ()).with_context(active_test=False)
        usages = api_su.env["fusion.billing.usage"].search([("key", "in", list(keys or ()))])
        if line_ids:
            lines = api_su.env["sale.order.line"].search([("id", "in", list(line_ids)), ("x_fc_key", "!=", False)])
            usages |= lines.x_fc_usage_id
        return [api_su._fc_held(usage) for usage in usages]

    @api.model
    def _fc_held(self, usage):
        currency = usage.currency_id or self.env.company.currency_id
        lines = usage.line_ids.sorted("x_fc_revision")
        detail = json.loads(usage.detail or "{}")
        booked = (
            sum((line._fc_own_amount() for line in lines), Decimal(0))
            - from_float(usage.credit_raised, currency.decimal_places)
            + from_float(usage.credit_applied, currency.decimal_places)
            + from_float(usage.waived, currency.decimal_places)
        )
        refunded = sum((line._fc_refunded() for line in lines if line._fc_is_frozen()), Decimal(0))
        return {
            "key": usage.key,
            "version": list(parse_version(usage.version or "")),
            "state": usage.state,
            "error": usage.error or None,
            "total": detail.get("total", "0"),
            "shows_total": not float_compare(
                usage.quantity, float(detail.get("total", "0")), precision_digits=QUANTITY_DIGITS
            ),
            "amount": money(usage.amount, currency),
            "booked": money(booked, currency),
            "refunded": money(refunded, currency),
            "currency": currency.name,
            "lines": [self._fc_held_line(line) for line in lines],
        }

    @api.model
    def _fc_held_line(self, line):
        currency = line.currency_id
        return {
            "id": line.id,
            "revision": line.x_fc_revision,
            "order_id": line.order_id.id,
            "order": line.order_id.name,
            "amount": money(line._fc_own_amount(), currency),
            "shown": money(line._fc_shown_amount(), currency),
            "invoices": [
                {
                    "id": each.move_id.id,
                    "number": each.move_id.name or None,
                    "type": "credit_note" if each.move_id.move_type == "out_refund" else "invoice",
                    "state": each.move_id.state,
                    "payment_state": each.move_id.payment_state or None,
                    "amount": money(each.price_subtotal, each.currency_id),
                }
                for each in line.invoice_lines
            ],
        }
