from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from .common import FusionBillingCase

METHODS = {
    "fc_info": {},
    "fc_catalog": {},
    "fc_upsert_customers": {"rows": []},
    "fc_create_subscriptions": {"rows": []},
    "fc_cancel_subscriptions": {"rows": []},
    "fc_terminate_subscriptions": {"rows": []},
    "fc_reactivate_subscriptions": {"rows": []},
    "fc_list_invoices": {"service": "test-maps"},
    "fc_get_invoice": {"service": "test-maps", "invoice_id": 0},
    "fc_invoice_pdf": {"service": "test-maps", "invoice_id": 0},
    "fc_void_invoice": {"service": "test-maps", "invoice_id": 0},
    "fc_retry_payment": {"service": "test-maps", "invoice_id": 0},
    "fc_create_credit_note": {"service": "test-maps", "invoice_id": 0, "request_id": "x"},
    "fc_create_invoice": {"service": "test-maps", "customer": "x", "request_id": "x", "lines": []},
    "fc_upsert_lines": {"rows": []},
    "fc_read_lines": {},
    "fc_upsert_deliveries": {"rows": []},
    "fc_take_replays": {},
    "fc_report_replays": {"rows": []},
    "fc_note_key_uses": {"rows": []},
    "fc_find_key": {"key_hash": "?"},
    "fc_get_endpoint": {"service": "test-maps"},
    "fc_set_endpoint": {"service": "test-maps", "url": "https://app.example"},
    "fc_renew_endpoint_secret": {"service": "test-maps"},
    "fc_delete_endpoint": {"service": "test-maps"},
    "fc_outbox_read": {},
    "fc_outbox_ack": {"ids": []},
}


@tagged("post_install", "-at_install")
class TestAccess(FusionBillingCase):
    def test_only_the_pipeline_may_call(self):
        groups = "fusion_billing.group_manager,sales_team.group_sale_manager,account.group_account_manager"
        manager = new_test_user(self.env, login="fusion_manager", groups=groups)
        for name, arguments in METHODS.items():
            with self.subTest(name):
                with self.assertRaises(AccessError):
                    getattr(self.env["fusion.billing.api"].with_user(manager), name)(**arguments)
                getattr(self.api, name)(**arguments)

    def test_every_public_method_is_checked(self):
        public = {name for name in dir(type(self.api)) if name.startswith("fc_")}
        self.assertEqual(public, set(METHODS))

    def test_pipeline_may_do_nothing_else(self):
        for model in ("sale.order", "account.move", "fusion.billing.usage", "fusion.billing.service"):
            with self.subTest(model), self.assertRaises(AccessError):
                self.env[model].with_user(self.bot).search([], limit=1).check_access("read")
                self.env[model].with_user(self.bot).search([])

    def test_salesperson_without_billing_rights_can_work(self):
        seller = new_test_user(self.env, login="fusion_seller", groups="sales_team.group_sale_salesman_all_leads")
        order = self.env["sale.order"].with_user(seller).create({"partner_id": self.order.partner_id.id})
        order.order_line = [(0, 0, {"product_id": self.charge.product_id.id, "price_unit": 5})]
        order.action_confirm()
        self.env.cr.flush()
        self.assertEqual(order.state, "sale")

    def _stored_models(self):
        return [
            model
            for name, model in self.env.items()
            if name.startswith("fusion.billing.") and not model._abstract and not model._transient
        ]

    def test_other_company_s_records_are_hidden(self):
        self.service.webhook_url = "https://app.example/hook"
        self.service.action_generate_api_key()
        self.upsert_one("100.00")
        self.freeze().action_post()
        self.upsert_one("60.00", 2)
        self.env.cr.flush()
        delivery = {"service": "test-maps", "event_id": "e1", "event_type": "x", "state": "dead", "attempts": 1}
        self.api.fc_upsert_deliveries(rows=[{**delivery, "payload": "{}"}])
        self.env["fusion.billing.reconciliation"].create({"service_id": self.service.id, "period": "2026-11"})
        tiers = [(0, 0, {"price_per_unit": 1})]
        self.charge.copy({"code": "tiered", "charge_model": "volume", "tier_ids": tiers})
        self.charge.threshold_ids = [(0, 0, {"code": "most", "value": 80})]
        self.metric.copy({"code": "own", "service_id": self.service.id})
        own, elsewhere = (
            new_test_user(self.env, login=company.name, groups="fusion_billing.group_user", company_id=company.id)
            for company in (self.company, self.env["res.company"].create({"name": "Elsewhere"}))
        )
        for model in self._stored_models():
            if "company_id" not in model._fields:
                continue
            with self.subTest(model._name):
                ours = [("company_id", "=", self.company.id)]
                self.assertTrue(model.with_user(own).search_count(ours), "there is something to hide")
                self.assertFalse(model.with_user(elsewhere).search_count(ours))

    def test_finance_reads_and_changes_nothing(self):
        user = new_test_user(self.env, login="fusion_finance", groups="fusion_billing.group_user")
        for model in self._stored_models():
            with self.subTest(model._name):
                rights = [model.with_user(user).has_access(what) for what in ("read", "write", "create", "unlink")]
                self.assertEqual(rights, [True, False, False, False])

    def test_nobody_deletes_or_invents_what_was_billed(self):
        groups = "fusion_billing.group_manager,sales_team.group_sale_manager,account.group_account_manager"
        manager = new_test_user(self.env, login="fusion_manager", groups=groups)
        for name in ("service", "metric", "charge", "usage", "credit", "event"):
            with self.subTest(name):
                self.assertFalse(self.env[f"fusion.billing.{name}"].with_user(manager).has_access("unlink"))
        for name in ("usage", "credit", "event"):
            with self.subTest(name):
                self.assertFalse(self.env[f"fusion.billing.{name}"].with_user(manager).has_access("create"))

    def test_customers_and_other_employees_see_no_model(self):
        for group in ("base.group_portal", "base.group_public", "base.group_user"):
            user = new_test_user(self.env, login=f"outsider_{group}", groups=group)
            for model in self._stored_models():
                with self.subTest(f"{group} {model._name}"):
                    self.assertFalse(model.with_user(user).has_access("read"))
