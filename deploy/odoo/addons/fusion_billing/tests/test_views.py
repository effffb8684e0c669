from freezegun import freeze_time

from odoo.tests import new_test_user, tagged

from odoo.addons.http_routing.tests.common import MockRequest

from ..controllers.portal import UsagePortal
from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestViews(FusionBillingCase):
    def test_ways_from_order_partner_and_invoice_to_the_usage(self):
        self.upsert_one("100.00")
        invoice = self.freeze()
        user = new_test_user(
            self.env, login="fusion_finance", groups="fusion_billing.group_user,account.group_account_invoice"
        )
        usage = self.usage()
        for record in (self.order, self.order.partner_id, invoice):
            with self.subTest(record._name):
                self.assertEqual(record.x_fc_usage_count, 1)
                action = record.with_user(user).action_x_fc_open_usage()
                self.assertEqual(self.env["fusion.billing.usage"].search(action["domain"]), usage)
        [line] = invoice.invoice_line_ids.with_user(user).filtered("x_fc_usage_id")
        self.assertEqual(line.action_x_fc_open_usage()["res_id"], usage.id)
        self.assertEqual(self.order.partner_id.x_fc_account_count, 1)
        action = usage.with_user(user).action_open_invoices()
        self.assertEqual(self.env["account.move"].search(action["domain"]), invoice)

    def test_customer_sees_own_usage_of_the_running_period_only(self):
        self.upsert_one("100.00")
        october = {"period_start": "2026-10-01T00:00:00Z", "period_end": "2026-11-01T00:00:00Z"}
        self.upsert_one("7.00", **october)
        own, other = (new_test_user(self.env, login=name, groups="base.group_portal") for name in ("own", "other"))
        own.partner_id.parent_id = self.order.partner_id
        shown = (self._portal_values(own, day)["subscriptions"] for day in ("2026-11-21", "2026-10-21"))
        for subscriptions, used, amount in zip(shown, ("6,000,000", "5,070,000"), ("100.00", "7.00"), strict=True):
            [subscription] = subscriptions
            [usage] = subscription["usages"]
            self.assertEqual((usage["used"], usage["included"]), (used, "5,000,000"))
            self.assertIn(amount, usage["amount"])
            self.assertIn("maps-test", subscription["name"])
        self.assertEqual(self._portal_values(other, "2026-11-21")["subscriptions"], [])

    def _portal_values(self, user, day):
        """Return what the page shows; an HttpCase would first compile all scripts and styles for a minute."""
        with freeze_time(day), MockRequest(self.env(user=user)):
            return UsagePortal()._fc_page_values()

    def test_every_menu_opens(self):
        for menu in self.env.ref("fusion_billing.menu_root").child_id.child_id:
            action = menu.action
            model = self.env[action.res_model]
            for kind in action.view_mode.split(","):
                with self.subTest(f"{action.res_model} {kind}"):
                    model.get_view(view_type=kind)
