import hashlib
import logging
from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError, ValidationError
from odoo.tests import Form, new_test_user, tagged

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestService(FusionBillingCase):
    def test_key_is_returned_once_and_kept_as_hash(self):
        key = self.service.action_generate_api_key()
        self.assertTrue(key.startswith("fus_live_"))
        self.assertEqual(self.service.api_key_hash, hashlib.sha256(key.encode()).hexdigest())
        self.assertNotEqual(self.service.action_generate_api_key(), key)

    def _catalog(self, kind):
        records = {record["key"]: record["value"] for record in self.api.fc_catalog()["records"]}
        return records[f"{kind}/{self.service.id}"]

    def test_former_key_lives_on_for_the_overlap(self):
        old, new = (hashlib.sha256(self.service.action_generate_api_key().encode()).hexdigest() for _round in range(2))
        self.assertEqual(self._catalog("service")["api_key_hashes"], [new, old])
        self.service.key_ids.sorted("id")[0].expires_at = fields.Datetime.now() - timedelta(seconds=1)
        self.env.invalidate_all()
        self.assertEqual(self._catalog("service")["api_key_hashes"], [new])

    def test_key_is_found_as_long_as_it_lives(self):
        key = self.service.action_generate_api_key()
        digest = hashlib.sha256(key.encode()).hexdigest()
        self.assertEqual(self.api.fc_find_key(key_hash=digest), {"service": "test-maps"})
        self.assertEqual(self.api.fc_find_key(key_hash=key), {"service": None})
        self.service.active = False
        self.assertEqual(self.api.fc_find_key(key_hash=digest), {"service": None})
        self.service.active = True
        self.service.key_ids.action_revoke()
        self.assertEqual(self.api.fc_find_key(key_hash=digest), {"service": None})

    def test_revoked_key_is_gone_at_once(self):
        self.service.action_generate_api_key()
        self.service.key_ids.action_revoke()
        self.assertFalse(self.service.api_key_hash)
        self.assertEqual(self._catalog("service")["api_key_hashes"], [])

    def test_no_overlap_ends_the_former_key_at_once(self):
        self.service.key_overlap_hours = 0
        self.service.action_generate_api_key()
        self.service.action_generate_api_key()
        self.assertEqual(len(self._catalog("service")["api_key_hashes"]), 1)

    def test_expiry_dates_the_service_once(self):
        self.service.action_generate_api_key()
        self.env.flush_all()
        self.cr.execute("UPDATE fusion_billing_service SET write_date = write_date - interval '2 hours'")
        self.env.invalidate_all()
        before = self.service.write_date
        self.service.key_ids.expires_at = fields.Datetime.now() - timedelta(hours=1)
        self.env["fusion.billing.service"]._cron_fc_expire_secrets()
        self.assertGreater(self.service.write_date, before)

    def test_last_use_is_shown_and_dates_nothing(self):
        self.service.action_generate_api_key()
        row = {"key_hash": self.service.api_key_hash, "used_at": "2026-11-21T08:00:00Z"}
        self.api.fc_note_key_uses(rows=[row, {**row, "used_at": "2026-11-20T08:00:00Z"}, {**row, "key_hash": "?"}])
        self.assertEqual(str(self.service.key_ids.last_used_at), "2026-11-21 08:00:00")

    def test_two_webhook_secrets_are_live_while_one_replaces_the_other(self):
        self.service.webhook_url = "https://app.example/hook"
        old = self.service.webhook_secret
        new = self.service.action_rotate_webhook_secret()
        self.assertEqual(self._catalog("endpoint")["secrets"], [new, old])
        until = self.service.former_webhook_secret_until.isoformat() + "Z"
        self.assertEqual(self._catalog("endpoint")["former_secret_until"], until)
        self.service.former_webhook_secret_until = fields.Datetime.now() - timedelta(seconds=1)
        self.env["fusion.billing.service"]._cron_fc_expire_secrets()
        self.assertFalse(self.service.former_webhook_secret)
        self.assertEqual(len(self._catalog("endpoint")["secrets"]), 1)
        self.assertIsNone(self._catalog("endpoint")["former_secret_until"])

    def test_events_are_filtered_by_their_types(self):
        self.service.webhook_url = "https://app.example/hook"
        self.assertEqual(self._catalog("endpoint")["event_types"], [])
        self.service.event_type_ids = self.env.ref("fusion_billing.event_type_invoice_paid")
        self.assertEqual(self._catalog("endpoint")["event_types"], ["invoice.paid"])

    def test_dialog_shows_the_key_and_saves_nothing(self):
        action = self.service.action_open_api_key_wizard()
        key = action["context"]["default_key"]
        self.assertEqual(self.service.api_key_hash, hashlib.sha256(key.encode()).hexdigest())
        self.assertEqual(Form(self.env["fusion.billing.api.key"].with_context(**action["context"])).key, key)
        dialog = self.env["fusion.billing.api.key"].create({"service_id": self.service.id, "key": key})
        dialog.invalidate_recordset()
        self.assertFalse(dialog.key)
        secret = self.service.action_open_webhook_secret_wizard()["context"]["default_key"]
        self.assertEqual(self.service.webhook_secret, secret)

    def test_manager_sets_a_webhook_secret_and_never_reads_one(self):
        manager = new_test_user(self.env, login="fusion_manager", groups="fusion_billing.group_manager")
        service = self.service.with_user(manager)
        service.write({"webhook_url": "https://app.example/hook", "webhook_secret": "whsec_by_hand"})
        self.assertEqual(self._catalog("endpoint")["secrets"], ["whsec_by_hand"])
        shown = service.action_open_webhook_secret_wizard()["context"]["default_key"]
        self.assertEqual(self._catalog("endpoint")["secrets"], [shown, "whsec_by_hand"])
        with Form(service) as form:
            self.assertFalse(form.webhook_secret_new)
            form.webhook_secret_new = "whsec_typed"
        self.assertEqual(self._catalog("endpoint")["secrets"], ["whsec_typed", "whsec_by_hand"])
        self.env.invalidate_all()
        self.assertFalse(service.webhook_secret_new)
        values = {"name": "New", "code": "new", "webhook_url": "https://new.example", "webhook_secret": "whsec_first"}
        self.assertEqual(service.create(values).sudo().webhook_secret, "whsec_first")
        for name in ("webhook_secret", "former_webhook_secret"):
            with self.subTest(name), self.assertRaises(AccessError):
                service.read([name])
            with self.subTest(name), self.assertRaises(AccessError):
                service.search([(name, "=like", "whsec_%")])
            self.assertNotIn(name, service.fields_get())
            self.assertTrue(service.with_user(self.bot).fields_get([name]))

    def test_no_secret_reaches_the_log_or_the_chatter(self):
        said = []
        handler = logging.Handler(logging.INFO)
        handler.emit = lambda record: said.append(record.getMessage())
        logging.getLogger().addHandler(handler)
        self.addCleanup(logging.getLogger().removeHandler, handler)
        self.service.webhook_url = "https://app.example/hook"
        secrets = [self.service.webhook_secret]
        for _round in range(2):
            secrets += [self.service.action_open_api_key_wizard()["context"]["default_key"], self.service.api_key_hash]
            self.service.action_rotate_webhook_secret()
            secrets.append(self.service.webhook_secret)
        self.service.key_ids[:1].action_revoke()
        self.service.write({"name": "Maps, renamed", "webhook_secret": "whsec_by_hand"})
        self.api.fc_catalog()
        self.env.cr.flush()
        messages = self.service.message_ids
        said += messages.mapped("body") + messages.mapped("preview")
        values = messages.sudo().tracking_value_ids
        said += [str(text) for value in values.read() for text in value.values()]
        self.assertEqual([secret for secret in [*secrets, "whsec_by_hand"] if secret in "\n".join(map(str, said))], [])

    def test_user_can_neither_make_nor_read_secrets(self):
        user = new_test_user(self.env, login="fusion_reader", groups="fusion_billing.group_user")
        service = self.service.with_user(user)
        self.assertEqual(service.name, "Maps")
        with self.assertRaises(AccessError):
            service.action_generate_api_key()
        with self.assertRaises(AccessError):
            service.action_rotate_webhook_secret()
        with self.assertRaises(AccessError):
            service.write({"webhook_secret": "whsec_mine"})
        for secret in ("api_key_hash", "webhook_secret", "former_webhook_secret"):
            with self.assertRaises(AccessError):
                service.read([secret])

    def test_webhook_secret_comes_with_the_address(self):
        self.assertFalse(self.service.webhook_secret)
        self.service.webhook_url = "https://app.example/hook"
        secret = self.service.webhook_secret
        self.assertTrue(secret.startswith("whsec_"))
        self.service.webhook_url = "https://app.example/other"
        self.assertEqual(self.service.webhook_secret, secret)

    def test_webhook_address_is_a_web_address(self):
        with self.assertRaises(ValidationError):
            self.service.webhook_url = "file:///etc/passwd"

    def test_stand_in_is_told(self):
        author = self.env["ir.module.module"].search([("name", "=", "sale_subscription")]).author
        self.assertEqual(bool(self.service.subscription_warning), "stand-in" in author)
        self.assertEqual(self.api.fc_info()["subscription_stand_in"], "stand-in" in author)
