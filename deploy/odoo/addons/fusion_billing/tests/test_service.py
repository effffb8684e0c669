import hashlib

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

    def test_dialog_shows_the_key_and_saves_nothing(self):
        action = self.service.action_open_api_key_wizard()
        key = action["context"]["default_key"]
        self.assertEqual(self.service.api_key_hash, hashlib.sha256(key.encode()).hexdigest())
        self.assertEqual(Form(self.env["fusion.billing.api.key"].with_context(**action["context"])).key, key)
        dialog = self.env["fusion.billing.api.key"].create({"service_id": self.service.id, "key": key})
        dialog.invalidate_recordset()
        self.assertFalse(dialog.key)

    def test_user_can_neither_make_nor_read_secrets(self):
        user = new_test_user(self.env, login="fusion_reader", groups="fusion_billing.group_user")
        service = self.service.with_user(user)
        self.assertEqual(service.name, "Maps")
        with self.assertRaises(AccessError):
            service.action_generate_api_key()
        for secret in ("api_key_hash", "webhook_secret"):
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
