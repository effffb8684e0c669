import base64
import hashlib
import secrets

from odoo import api, fields, models
from odoo.exceptions import ValidationError

SECRET_GROUPS = "fusion_billing.group_manager,fusion_billing.group_pipeline"
STAND_IN_AUTHOR = "development stand-in"


class FusionBillingService(models.Model):
    """An app that publishes usage counters and is told what happens to its customers' subscriptions."""

    _name = "fusion.billing.service"
    _inherit = ["fusion.billing.code.mixin"]
    _description = "Billing Service"
    _order = "name, id"

    name = fields.Char(required=True)
    code = fields.Char(required=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", required=True, default=lambda self: self.env.company)
    api_key_hash = fields.Char(
        string="API Key (SHA-256)",
        copy=False,
        groups=SECRET_GROUPS,
        help="Only the hash of the key is kept. The key itself is shown once, when it is made.",
    )
    has_api_key = fields.Boolean(compute="_compute_has_api_key", compute_sudo=True)
    webhook_url = fields.Char(string="Webhook URL")
    webhook_secret = fields.Char(copy=False, groups=SECRET_GROUPS)
    subscription_warning = fields.Char(compute="_compute_subscription_warning", compute_sudo=True)

    _code_unique = models.Constraint("UNIQUE (code)", "Another service has this code.")

    @api.depends("api_key_hash")
    def _compute_has_api_key(self):
        for service in self:
            service.has_api_key = bool(service.api_key_hash)

    def _compute_subscription_warning(self):
        self.subscription_warning = (
            self.env._(
                "The development stand-in of the Subscriptions application is installed. "
                "Do not bill real customers with it: production needs Odoo Enterprise's own."
            )
            if self._fc_is_stand_in()
            else False
        )

    @api.model
    def _fc_is_stand_in(self):
        """Tell whether `sale_subscription` is our development stand-in."""
        module = self.env["ir.module.module"].sudo().search([("name", "=", "sale_subscription")], limit=1)
        return STAND_IN_AUTHOR in (module.author or "")

    @api.constrains("webhook_url")
    def _check_webhook_url(self):
        for service in self:
            if service.webhook_url and not service.webhook_url.startswith(("https://", "http://")):
                raise ValidationError(self.env._("The webhook URL must start with https:// or http://."))

    @api.model_create_multi
    def create(self, vals_list):
        services = super().create(vals_list)
        services._fc_ensure_webhook_secret()
        return services

    def write(self, vals):
        res = super().write(vals)
        if "webhook_url" in vals or "webhook_secret" in vals:
            self._fc_ensure_webhook_secret()
        return res

    def _fc_ensure_webhook_secret(self):
        for service in self.sudo():
            if service.webhook_url and not service.webhook_secret:
                service.webhook_secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()

    def action_generate_api_key(self):
        """Make a new bearer key, which replaces the old one, and return it. It cannot be read again later."""
        self.ensure_one()
        self.check_access("write")
        key = f"fus_live_{secrets.token_hex(6)}_{secrets.token_hex(32)}"
        self.write({"api_key_hash": hashlib.sha256(key.encode()).hexdigest()})
        return key

    def action_open_api_key_wizard(self):
        """Make a new bearer key and show it once. The dialog is never saved, so the key reaches no table."""
        key = self.action_generate_api_key()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("New API key of %s", self.name),
            "res_model": "fusion.billing.api.key",
            "view_mode": "form",
            "target": "new",
            "context": {"default_key": key, "default_service_id": self.id},
        }
