import re

from odoo import models
from odoo.exceptions import UserError

from .fusion_billing_charge import TERMS


class FusionBillingCharge(models.Model):
    """Terms that somebody was billed under stay; others are a new version of the charge."""

    # One file per concern of the same model.
    _inherit = "fusion.billing.charge"  # pylint: disable=consider-merging-classes-inherited

    def _compute_is_invoiced(self):
        invoiced = (
            self.env["sale.order.line"]
            .sudo()  # a billing manager may lack the right to see orders
            ._read_group(
                [("x_fc_charge_id", "in", self.ids), ("qty_invoiced", "!=", 0)], ["x_fc_charge_id"]
            )
        )
        charges = self.browse(charge.id for (charge,) in invoiced)
        for charge in self:
            charge.is_invoiced = charge in charges

    def _fc_check_free_terms(self, vals):
        """Refuse to change terms that somebody was billed under: a past period keeps them, late counters included."""
        for charge in self.filtered("is_invoiced"):
            changed = [name for name in TERMS & vals.keys() if charge._fc_is_other(name, vals[name])]
            if changed:
                raise UserError(
                    self.env._(
                        "Usage was invoiced under the terms of %s. Make a new version of it, valid from a later day.",
                        charge.name,
                    )
                )

    def _fc_is_other(self, name, value):
        field = self._fields[name]
        if field.type == "one2many":
            return bool(value)
        former = field.convert_to_write(self[name], self)
        return (former or False) != (
            field.convert_to_write(field.convert_to_record(field.convert_to_cache(value, self), self), self) or False
        )

    def _fc_is_valid_on(self, day):
        """Tell whether the charge prices a period that starts on `day`."""
        self.ensure_one()
        return (not self.valid_from or self.valid_from <= day) and (not self.valid_to or day < self.valid_to)

    def _fc_new_version(self, valid_from):
        """Return a copy whose terms may change, for periods that start on `valid_from` or later; this one ends there."""
        self.ensure_one()
        if self.valid_from and valid_from <= self.valid_from:
            raise UserError(self.env._("The new version must begin after %s.", self.valid_from))
        number = self.version + 1
        base = re.sub(r"-v\d+$", "", self.code)[:56]
        new = self.copy(
            {
                "code": f"{base}-v{number}",
                "name": self.name,
                "version": number,
                "predecessor_id": self.id,
                "valid_from": valid_from,
                "valid_to": self.valid_to,
            }
        )
        self.valid_to = valid_from
        return new
