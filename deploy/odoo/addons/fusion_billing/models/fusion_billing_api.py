from odoo import api, models
from odoo.exceptions import AccessError, UserError

ROWS_MAX = 500
TEXT_MAX_BYTES = 255


class RowError(Exception):
    """A row that cannot be served, with the field to blame. It concerns that row only."""

    def __init__(self, message, field=None):
        super().__init__(message)
        self.field = field


class FusionBillingApi(models.AbstractModel):
    """Everything the pipeline may do in Odoo, as batch methods of plain dicts.

    Each public method checks the pipeline's group before anything else and then works as superuser; it may be called
    by keywords. One call is one transaction. Writes are idempotent, so a caller that saw a timeout calls again.
    """

    _name = "fusion.billing.api"
    _description = "Fusion Billing: interface of the pipeline"

    @api.model
    def _fc_enter(self, rows=()):
        """Check the caller's group and the size of the call; return this model as superuser."""
        if not (self.env.su or self.env.user.has_group("fusion_billing.group_pipeline")):
            raise AccessError(self.env._("Only members of the group “Billing Pipeline” may call this method."))
        if not isinstance(rows, (list, tuple)):
            raise UserError(self.env._("Rows must be a list."))
        if len(rows) > ROWS_MAX:
            raise UserError(self.env._("At most %s rows per call.", ROWS_MAX))
        # As superuser: the group is the right to call; so its members need none on orders, invoices or partners.
        # Without any language Odoo would go and look for one at each of its texts.
        return self.sudo().with_context(lang="en_US", active_test=True)

    @api.model
    def fc_info(self):
        """Return what an operator wants to know about this installation."""
        api_su = self._fc_enter()
        module = api_su.env["ir.module.module"].search([("name", "=", "fusion_billing")], limit=1)
        return {
            "version": module.installed_version,
            "subscription_stand_in": self.env["fusion.billing.service"]._fc_is_stand_in(),
        }

    @api.model
    def _fc_text(self, row, field, required=True):
        """Return a text of at most 255 bytes from a row, or None where it is missing and may be."""
        value = row.get(field)
        if value in (None, False, "") and not required:
            return None
        if not isinstance(value, str) or not value.strip():
            raise RowError(f"{field} is required and must be text", field)
        try:
            size_bytes = len(value.encode())
        except UnicodeEncodeError:
            raise RowError(f"{field} must be valid Unicode text", field) from None
        if size_bytes > TEXT_MAX_BYTES:
            raise RowError(f"{field} must have at most {TEXT_MAX_BYTES} bytes", field)
        if any(character < " " or character == "\x7f" for character in value):
            raise RowError(f"{field} must not contain control characters", field)
        return value

    @api.model
    def _fc_service(self, row):
        code = self._fc_text(row, "service")
        service = self.env["fusion.billing.service"].search([("code", "=", code)], limit=1)
        if not service:
            raise RowError(f"there is no active service {code}", "service")
        return service
