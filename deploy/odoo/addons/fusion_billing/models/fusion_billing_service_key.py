from odoo import api, fields, models


class FusionBillingServiceKey(models.Model):
    """A bearer key of a service, as hash. Several may be live while an app changes from one to the next."""

    _name = "fusion.billing.service.key"
    _description = "Billing Service Key"
    _rec_name = "hint"
    _order = "id desc"

    service_id = fields.Many2one("fusion.billing.service", required=True, readonly=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="service_id.company_id", store=True)
    key_hash = fields.Char(
        string="SHA-256",
        required=True,
        readonly=True,
        groups="fusion_billing.group_manager,fusion_billing.group_pipeline",
    )
    hint = fields.Char(readonly=True, help="Beginning of the key, to tell keys apart.")
    expires_at = fields.Datetime(readonly=True, help="From then on the key opens nothing. Empty: until it is replaced.")
    last_used_at = fields.Datetime(readonly=True)
    is_live = fields.Boolean(compute="_compute_is_live")

    _key_hash_unique = models.Constraint("UNIQUE (key_hash)", "This key is known already.")

    @api.depends("expires_at")
    def _compute_is_live(self):
        now = fields.Datetime.now()
        for key in self:
            key.is_live = not key.expires_at or key.expires_at > now

    def action_revoke(self):
        """Let the keys open nothing from now on, for instance because one was lost."""
        self.check_access("write")
        now = fields.Datetime.now()
        self.filtered("is_live").expires_at = now
        self.service_id._fc_forget_revoked_key()
        return True

    def _fc_live(self):
        """Return the live keys, the newest first."""
        return self.filtered("is_live").sorted("id", reverse=True)
