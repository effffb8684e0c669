import base64
import hashlib
import secrets
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ..lib.times import format_instant

HASH_GROUPS = "fusion_billing.group_manager,fusion_billing.group_pipeline"
SECRET_GROUPS = "fusion_billing.group_pipeline"
SECRET_HELP = "Signs the deliveries. Whoever may change the service may set it; only the pipeline may read it."
STAND_IN_AUTHOR = "development stand-in"


class FusionBillingService(models.Model):
    """An app that publishes usage counters and is told what happens to its customers' subscriptions."""

    _name = "fusion.billing.service"
    _inherit = ["fusion.billing.code.mixin", "mail.thread", "mail.activity.mixin"]
    _description = "Billing Service"
    _order = "name, id"

    name = fields.Char(required=True)
    code = fields.Char(required=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", required=True, default=lambda self: self.env.company)
    api_key_hash = fields.Char(
        string="API Key (SHA-256)",
        copy=False,
        groups=HASH_GROUPS,
        help="Only the hash of the key is kept. The key itself is shown once, when it is made.",
    )
    key_ids = fields.One2many("fusion.billing.service.key", "service_id", string="API Keys")
    key_overlap_hours = fields.Float(
        default=24.0, help="How long the former key, or the former webhook secret, lives on beside a new one."
    )
    has_api_key = fields.Boolean(compute="_compute_has_api_key", compute_sudo=True)
    webhook_url = fields.Char(string="Webhook URL")
    webhook_secret = fields.Char(
        copy=False,
        groups=SECRET_GROUPS,
        help=SECRET_HELP,
    )
    webhook_secret_new = fields.Char(
        string="New Webhook Secret",
        compute="_compute_webhook_secret_new",
        inverse="_inverse_webhook_secret_new",
        groups="fusion_billing.group_manager",
        help=SECRET_HELP,
    )
    former_webhook_secret = fields.Char(copy=False, readonly=True, groups=SECRET_GROUPS)
    former_webhook_secret_until = fields.Datetime(copy=False, readonly=True, groups=HASH_GROUPS)
    event_type_ids = fields.Many2many(
        "fusion.billing.event.type", string="Events", help="What the webhook is told of. Empty: everything."
    )
    user_id = fields.Many2one(
        "res.users", string="Responsible", help="Gets the to-dos that only a person can decide.", ondelete="set null"
    )
    credit_policy = fields.Selection(
        [("net", "Net against later usage"), ("credit_note", "Issue a credit note")],
        default="net",
        required=True,
        help="What becomes of usage that turned out lower after it was invoiced.",
    )
    subscription_warning = fields.Char(compute="_compute_subscription_warning", compute_sudo=True)

    _code_unique = models.Constraint("UNIQUE (code)", "Another service has this code.")
    _key_overlap_not_negative = models.Constraint(
        "CHECK (key_overlap_hours >= 0)", "The overlap of keys cannot be negative."
    )

    @api.depends("api_key_hash")
    def _compute_has_api_key(self):
        for service in self:
            service.has_api_key = bool(service.api_key_hash)

    def _compute_webhook_secret_new(self):
        self.webhook_secret_new = False

    def _inverse_webhook_secret_new(self):
        for service in self:
            if service.webhook_secret_new:
                service.write({"webhook_secret": service.webhook_secret_new})

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
        # As superuser: only administrators may look at modules.
        module = self.env["ir.module.module"].sudo().search([("name", "=", "sale_subscription")], limit=1)
        return STAND_IN_AUTHOR in (module.author or "")

    @api.constrains("webhook_url")
    def _check_webhook_url(self):
        for service in self:
            if service.webhook_url and not service.webhook_url.startswith(("https://", "http://")):
                raise ValidationError(self.env._("The webhook URL must start with https:// or http://."))

    @api.model_create_multi
    def create(self, vals_list):
        given = [vals.get("webhook_secret") for vals in vals_list]
        services = super().create([self._fc_without_secret(vals) for vals in vals_list])
        for service, secret in zip(services, given, strict=True):
            service._fc_keep_webhook_secret(secret)
        return services

    def write(self, vals):
        # The secret is written apart, as superuser: to set it takes no right to read it.
        secret = None if self.env.su else vals.get("webhook_secret")
        res = super().write(vals if self.env.su else self._fc_without_secret(vals))
        if secret or "webhook_url" in vals:
            self._fc_keep_webhook_secret(secret)
        return res

    @api.model
    def _fc_without_secret(self, vals):
        return {name: value for name, value in vals.items() if name != "webhook_secret"}

    def _fc_keep_webhook_secret(self, secret=None):
        """Take a secret, if one is given; make one where there is an address without."""
        self.check_access("write")
        # As superuser: the field is the pipeline's.
        for service in self.sudo():
            if secret or (service.webhook_url and not service.webhook_secret):
                service.write({"webhook_secret": secret or self._fc_new_secret()})

    def action_generate_api_key(self):
        """Make a new bearer key and return it; it cannot be read again later. The former one lives on for the overlap."""
        self.ensure_one()
        self.check_access("write")
        key = f"fus_live_{secrets.token_hex(6)}_{secrets.token_hex(32)}"
        digest = hashlib.sha256(key.encode()).hexdigest()
        ends = fields.Datetime.now() + timedelta(hours=self.key_overlap_hours)
        self.key_ids.filtered(lambda former: not former.expires_at or former.expires_at > ends).expires_at = ends
        self.env["fusion.billing.service.key"].create(
            {"service_id": self.id, "key_hash": digest, "hint": key[: len("fus_live_") + 12]}
        )
        self.write({"api_key_hash": digest})
        self._fc_expire_at(ends)
        return key

    def _fc_forget_revoked_key(self):
        """Drop the present key where it was revoked; date the service, whose catalog record names live keys only."""
        for service in self:
            live = service.key_ids._fc_live()
            service.write({"api_key_hash": live[:1].key_hash or False})

    def action_rotate_webhook_secret(self):
        """Make a new webhook secret and return it; it cannot be read again later.

        Deliveries are signed with the former one, too, for the overlap.
        """
        self.ensure_one()
        self.check_access("write")
        secret = self._fc_new_secret()
        ends = fields.Datetime.now() + timedelta(hours=self.key_overlap_hours)
        # As superuser: the fields are the pipeline's.
        service = self.sudo()
        service.write(
            {
                "former_webhook_secret": service.webhook_secret,
                "former_webhook_secret_until": ends,
                "webhook_secret": secret,
            }
        )
        self._fc_expire_at(ends)
        return secret

    @api.model
    def _fc_expire_at(self, time):
        # As superuser: a billing manager need not be allowed to start jobs.
        self.env.ref("fusion_billing.ir_cron_expire_secrets").sudo()._trigger(at=time)

    @api.model
    def _fc_new_secret(self):
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()

    def _fc_secrets(self):
        """Return the webhook secrets that are live, the newest first."""
        self.ensure_one()
        until = self.former_webhook_secret_until
        former = self.former_webhook_secret if until and until > fields.Datetime.now() else None
        return [secret for secret in (self.webhook_secret, former) if secret]

    def _fc_former_secret_until(self):
        """Return when the second of the live secrets ends, as RFC 3339, or None where there is one only."""
        self.ensure_one()
        return format_instant(self.former_webhook_secret_until) if len(self._fc_secrets()) > 1 else None

    def _fc_key_hashes(self):
        """Return the hashes of the live keys, the newest first."""
        self.ensure_one()
        hashes = [self.api_key_hash, *self.key_ids._fc_live().mapped("key_hash")]
        return list(dict.fromkeys(digest for digest in hashes if digest))

    @api.model
    def _cron_fc_expire_secrets(self):
        """Date the services whose former key or secret ran out, so that the pipeline forgets it."""
        now = fields.Datetime.now()
        services = self.with_context(active_test=False)
        ended = services.search(["|", ("key_ids.expires_at", "<=", now), ("former_webhook_secret_until", "<=", now)])
        for service in ended:
            over = service.key_ids.filtered(lambda key: not key.is_live)
            if service.former_webhook_secret_until and service.former_webhook_secret_until <= now:
                service.write({"former_webhook_secret": False, "former_webhook_secret_until": False})
            if any(key.expires_at > service.write_date for key in over):
                service.write({})

    def _fc_responsible(self):
        """Return who decides what only a person can: the service's responsible, else one of the billing managers."""
        self.ensure_one()
        managers = self.env.ref("fusion_billing.group_manager").all_user_ids.filtered(
            lambda user: user.active and not user.share and self.company_id in user.company_ids
        )
        return self.user_id or (managers - self.env.ref("base.user_root"))[:1]

    def action_open_api_key_wizard(self):
        """Make a new bearer key and show it once. The dialog is never saved, so the key reaches no table."""
        return self._fc_show_once(self.env._("New API key of %s", self.name), self.action_generate_api_key())

    def action_open_webhook_secret_wizard(self):
        """Make a new webhook secret and show it once."""
        return self._fc_show_once(self.env._("New webhook secret of %s", self.name), self.action_rotate_webhook_secret())

    def _fc_show_once(self, title, key):
        return {
            "type": "ir.actions.act_window",
            "name": title,
            "res_model": "fusion.billing.api.key",
            "view_mode": "form",
            "target": "new",
            "context": {"default_key": key, "default_service_id": self.id},
        }
