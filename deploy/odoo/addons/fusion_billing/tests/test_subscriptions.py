import psycopg2

from odoo import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestSubscriptions(FusionBillingCase):
    def _create(self, **values):
        row = {
            "service": "test-maps",
            "external_customer_id": "c1",
            "plan_id": self.plan.id,
            "plan_code": "maps-test",
            "lines": [],
        }
        [result] = self.api.fc_create_subscriptions(rows=[{**row, **values}])
        return result

    def test_created_subscription_runs(self):
        product = self.recurring_product(49)
        result = self._create(
            external_id="s9", start_date="2026-02-03", lines=[{"product_id": product.id, "quantity": "2"}]
        )
        self.assertEqual((result["status"], result["subscription_state"]), ("ok", "3_progress"))
        order = self.env["sale.order"].browse(result["subscription_id"])
        self.assertEqual(order.x_fc_external_id, "s9")
        self.assertEqual(str(order.start_date), "2026-02-03")
        self.assertEqual(order.order_line.mapped("product_uom_qty"), [2])
        self.assertEqual(order.recurring_total, 98)

    def test_again_is_the_same_order(self):
        first = self._create(external_id="s9")
        self.assertEqual(self._create(external_id="s9"), first)

    def test_order_without_external_id_takes_its_number(self):
        result = self._create()
        self.assertEqual(result["external_id"], str(result["subscription_id"]))
        self.assertEqual(
            self.env["sale.order"].browse(result["subscription_id"]).x_fc_external_id, result["external_id"]
        )

    def test_confirmed_order_that_is_given_to_a_service_is_announced(self):
        order = self.env["sale.order"].create(
            {
                "partner_id": self.order.partner_id.id,
                "plan_id": self.plan.id,
                "order_line": [Command.create({"product_id": self.recurring_product(1).id})],
            }
        )
        order.action_confirm()
        self.assertEqual(self.events(order), [])
        order.x_fc_service_id = self.service
        self.assertEqual(self.events(order), ["subscription.started"])
        self.assertEqual(order.x_fc_external_id, str(order.id))

    def test_order_without_recurring_product_gets_a_free_one(self):
        order = self.env["sale.order"].browse(self._create()["subscription_id"])
        self.assertTrue(order.order_line.recurring_invoice)
        self.assertEqual(order.amount_total, 0)
        other = self.env["sale.order"].browse(self._create()["subscription_id"])
        self.assertEqual(order.order_line.product_id, other.order_line.product_id)

    def test_bad_rows_name_their_field(self):
        for values, field in (
            ({"external_customer_id": "nobody"}, "external_customer_id"),
            ({"plan_id": 0}, "plan_id"),
            ({"plan_id": "1"}, "plan_id"),
            ({"start_date": "tomorrow"}, "start_date"),
            ({"lines": [{"product_id": -1, "quantity": "1"}]}, "lines.0.product_id"),
            ({"lines": [{"product_id": self.recurring_product(1).id, "quantity": "0"}]}, "lines.0.quantity"),
            ({"service": "nobody"}, "service"),
        ):
            with self.subTest(values):
                result = self._create(**values)
                self.assertEqual((result["status"], result.get("field")), ("error", field))

    def test_external_id_is_unique_per_service(self):
        with self.assertRaises(psycopg2.IntegrityError), mute_logger("odoo.sql_db"), self.cr.savepoint():
            self.order.copy({"x_fc_external_id": "sub/1"})

    def _change(self, what, external_id="sub/1", service="test-maps"):
        row = {"service": service, "external_id": external_id}
        [result] = getattr(self.api, f"fc_{what}_subscriptions")(rows=[row])
        return result

    def test_cancelled_ends_with_the_invoiced_period(self):
        self.order.next_invoice_date = "2026-12-01"
        for _again in range(2):
            self.assertEqual(self._change("cancel")["subscription_state"], "3_progress")
        self.assertEqual(str(self.order.end_date), "2026-12-01")
        self.assertEqual(self._change("reactivate")["status"], "ok")
        self.assertFalse(self.order.end_date)

    def test_terminated_now_and_reactivated(self):
        for _again in range(2):
            self.assertEqual(self._change("terminate")["subscription_state"], "6_churn")
        for _again in range(2):
            self.assertEqual(self._change("reactivate")["subscription_state"], "3_progress")
        self.assertEqual(self._subscribe("sub/1"), self.order, "still one order per service and external id")

    def test_only_own_subscriptions_change(self):
        self.env["fusion.billing.service"].create({"name": "Other", "code": "test-other"})
        self.assertEqual(self._change("terminate", service="test-other")["field"], "external_id")
        self.assertEqual(self._change("terminate", "nobody")["field"], "external_id")
        self.assertEqual(self.api.fc_terminate_subscriptions(rows=["no row"])[0]["status"], "error")
        self.assertEqual(self.order.subscription_state, "3_progress")

    def test_renewed_changes_under_its_new_order(self):
        renewal = self.env["sale.order"].browse(self.order.prepare_renewal_order()["res_id"])
        renewal.action_confirm()
        self.assertEqual(self._change("terminate")["subscription_id"], renewal.id)
