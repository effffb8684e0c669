from datetime import timedelta

from psycopg2 import IntegrityError

from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestCatalog(FusionBillingCase):
    def _catalog(self, **values):
        page = self.api.fc_catalog(**values)
        return page, {record["key"]: record["value"] for record in page["records"]}

    def test_full_catalog_has_each_kind_in_its_shape(self):
        self.service.webhook_url = "https://app.example/hook"
        page, records = self._catalog()
        self.assertTrue(page["full"])
        link = self.env["fusion.billing.account.link"].search([("external_id", "=", "c1")])
        self.assertEqual(
            records[f"subscription/{self.order.id}"],
            {
                "kind": "subscription",
                "id": self.order.id,
                "service": "test-maps",
                "external_id": "sub/1",
                "customer": "c1",
                "partner": link.partner_id.id,
                "plan": self.plan.id,
                "plan_code": "maps-test",
                "currency": self.order.currency_id.name,
                "state": "3_progress",
                "anchor": "2026-11-01",
                "next_invoice_date": "2026-11-01",
                "end_date": None,
                "time_zone": self.order._fc_time_zone(),
            },
        )
        self.assertEqual(
            records[f"charge/{self.charge.id}"],
            {
                "kind": "charge",
                "id": self.charge.id,
                "code": "maps-test.test_calls",
                "name": "Calls over quota",
                "service": "test-maps",
                "metric": "test_calls",
                "plan_code": "maps-test",
                "plan": None,
                "product": self.charge.product_id.id,
                "included_quota": "5000000",
                "price_per_unit": "0.1",
                "unit_batch": "1000",
                "charge_model": "standard",
                "currency": self.charge.currency_id.name,
                "tiers": [],
                "thresholds": [],
                "valid_from": None,
                "valid_to": None,
                "active": True,
            },
        )
        self.assertEqual(records[f"plan/{self.plan.id}"]["unit"], "month")
        self.assertEqual(records[f"service/{self.service.id}"]["api_key_hashes"], [])
        self.assertEqual(records[f"endpoint/{self.service.id}"]["secrets"], [self.service.sudo().webhook_secret])
        self.assertEqual(records[f"account_link/{link.id}"]["external_id"], "c1")
        metric = records[f"metric/{self.metric.id}"]
        self.assertEqual((metric["aggregation"], metric["split_pro_rata"]), ("sum", False))

    def test_thresholds_are_part_of_their_charge(self):
        rows = [{"code": "most", "value": 80}, {"code": "many", "kind": "quantity", "value": 0.5}]
        self.charge.threshold_ids = [(0, 0, row) for row in rows]
        shown = [
            {"code": "many", "kind": "quantity", "value": "0.5"},
            {"code": "most", "kind": "quota_percent", "value": "80"},
        ]
        _page, records = self._catalog()
        self.assertEqual(records[f"charge/{self.charge.id}"]["thresholds"], shown)
        self.assertEqual(self.charge.copy({"code": "again"})._fc_catalog_value()["thresholds"], shown)
        self.env.flush_all()
        long_ago = "2026-01-01"
        for change in (
            lambda: self.charge.threshold_ids[0].write({"value": 7}),
            lambda: self.charge.threshold_ids[0].unlink(),
        ):
            self.env.cr.execute("UPDATE fusion_billing_charge SET write_date = %s", (long_ago,))
            self.charge.invalidate_recordset()
            change()
            self.env.flush_all()
            self.assertGreater(str(self.charge.write_date), long_ago, "the feed looks for charges by their date")

    def test_a_threshold_has_a_value_and_a_code_of_its_own(self):
        self.charge.threshold_ids = [(0, 0, {"code": "once", "value": 1})]
        for row, error in (
            ({"code": "no", "value": 0}, IntegrityError),
            ({"code": "no", "value": -1}, IntegrityError),
            ({"code": "once", "value": 2}, IntegrityError),
            ({"code": "Nope", "value": 1}, ValidationError),
        ):
            with self.subTest(row), mute_logger("odoo.sql_db"), self.assertRaises(error):
                self.charge.threshold_ids = [(0, 0, row)]

    def test_archived_records_are_named_as_inactive(self):
        self.charge.active = False
        self.service.active = False
        _page, records = self._catalog()
        self.assertFalse(records[f"charge/{self.charge.id}"]["active"])
        self.assertFalse(records[f"service/{self.service.id}"]["active"])

    def test_since_a_cursor_only_later_changes_are_named(self):
        page, _records = self._catalog()
        later = self.env.cr.now() + timedelta(hours=1)
        nothing, records = self._catalog(since=later.isoformat() + "Z")
        self.assertEqual((nothing["full"], records), (False, {}))
        again, records = self._catalog(since=page["cursor"])
        self.assertFalse(again["full"])
        self.assertIn(f"charge/{self.charge.id}", records, "the cursor overlaps what may still be uncommitted")
        self.assertIsNone(records[f"endpoint/{self.service.id}"], "a service without address has no endpoint")

    def test_quotation_is_no_subscription(self):
        draft = self.order.copy({"x_fc_external_id": "draft"})
        page, records = self._catalog()
        self.assertNotIn(f"subscription/{draft.id}", records)
        _page, records = self._catalog(since=page["cursor"])
        self.assertIsNone(records[f"subscription/{draft.id}"])

    def test_cancelled_subscription_is_ended(self):
        self.order._action_cancel()
        _page, records = self._catalog()
        self.assertEqual(records[f"subscription/{self.order.id}"]["state"], "6_churn")

    def test_time_zone_is_the_customer_s_of_the_beginning(self):
        customer = self.order.partner_id
        customer.tz = "America/Toronto"
        later = self._subscribe("sub/2")
        # As the first login to the portal does.
        customer.tz = "Asia/Tokyo"
        _page, records = self._catalog()
        self.assertEqual(records[f"subscription/{later.id}"]["time_zone"], "America/Toronto")
        self.assertEqual(records[f"subscription/{self.order.id}"]["time_zone"], self.order.x_fc_time_zone)
        self.assertNotEqual(self.order.x_fc_time_zone, "Asia/Tokyo")

    def test_time_zone_is_fixed_once_usage_was_invoiced(self):
        self.order.x_fc_time_zone = "America/Halifax"
        self.upsert_one("100.00")
        self.order.x_fc_time_zone = "America/Toronto"
        self.freeze()
        self.order.x_fc_time_zone = "America/Toronto"
        with self.assertRaisesRegex(UserError, "America/Toronto"):
            self.order.x_fc_time_zone = "Asia/Tokyo"
