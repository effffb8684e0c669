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
    "fc_upsert_deliveries": {"rows": []},
    "fc_take_replays": {},
    "fc_report_replays": {"rows": []},
    "fc_note_key_uses": {"rows": []},
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

    def test_other_company_s_records_are_hidden(self):
        company = self.env["res.company"].create({"name": "Elsewhere"})
        user = new_test_user(
            self.env,
            login="fusion_elsewhere",
            groups="fusion_billing.group_user",
            company_id=company.id,
            company_ids=[(6, 0, company.ids)],
        )
        for model in ("fusion.billing.service", "fusion.billing.charge", "fusion.billing.account.link"):
            self.assertFalse(self.env[model].with_user(user).search([]), model)
