from odoo.tests import tagged

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestWebhooks(FusionBillingCase):
    def test_delivery_is_shown_and_kept_up_to_date(self):
        row = {
            "service": "test-maps",
            "event_id": "e1",
            "event_type": "invoice.paid",
            "payload": "{}",
            "state": "pending",
            "attempts": 1,
            "next_retry_at": "2026-11-01T00:00:00.5Z",
            "last_error": "500",
        }
        self.assertEqual(self.api.fc_upsert_deliveries(rows=[row]), [{"event_id": "e1", "status": "ok"}])
        done = {**row, "state": "delivered", "attempts": 2, "next_retry_at": None, "last_error": None}
        results = self.api.fc_upsert_deliveries(rows=[done, {**row, "state": "?"}, "no row"])
        self.assertEqual([result["status"] for result in results], ["ok", "error", "error"])
        delivery = self.env["fusion.billing.webhook"].search([("event_id", "=", "e1")])
        self.assertEqual((delivery.state, delivery.attempts, delivery.next_retry_at), ("delivered", 2, False))
