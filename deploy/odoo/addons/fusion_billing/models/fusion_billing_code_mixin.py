import re

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

CODE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class FusionBillingCodeMixin(models.AbstractModel):
    """A record that the apps and the pipeline know by its code, which therefore never changes."""

    _name = "fusion.billing.code.mixin"
    _description = "Fusion Billing: record with a code"

    code = fields.Char(copy=False, index=True, help="a-z 0-9 _ . -, at most 64 characters. Fixed once saved.")

    @api.constrains("code")
    def _check_code(self):
        for record in self:
            if record.code and not CODE.fullmatch(record.code):
                raise ValidationError(
                    self.env._(
                        "The code “%s” must be 1 to 64 of a-z 0-9 _ . - and start with a letter or digit.",
                        record.code,
                    )
                )

    def write(self, vals):
        if "code" in vals and any(record.code and record.code != vals["code"] for record in self):
            raise UserError(
                self.env._("A code cannot be changed: usage counters refer to it. Archive the record instead.")
            )
        return super().write(vals)
