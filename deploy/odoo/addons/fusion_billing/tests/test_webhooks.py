from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestWebhooks(FusionBillingCase):
    def _row(self, **values):
        row = {
            "service": "test-maps",
            "event_id": "e1",
            "endpoint": 7,
            "event_type": "invoice.paid",
            "payload": "{}",
            "state": "pending",
            "attempts": 1,
            "next_retry_at": "2026-11-01T00:00:00.5Z",
            "last_status": 500,
            "last_error": None,
        }
        return {**row, **values}

    def _show(self, *rows):
        return [result["status"] for result in self.api.fc_upsert_deliveries(rows=list(rows))]

    def _deliveries(self):
        return self.env["fusion.billing.webhook"].search([("event_id", "=", "e1")], order="endpoint")

    def test_delivery_is_shown_and_kept_up_to_date(self):
        self.assertEqual(self.api.fc_upsert_deliveries(rows=[self._row()]), [{"event_id": "e1", "status": "ok"}])
        self.assertEqual(self._deliveries().last_status, 500)
        done = self._row(state="delivered", attempts=2, next_retry_at=None, last_status=204)
        bad = [self._row(state="?"), "no row", self._row(attempts=-1), self._row(endpoint="7")]
        self.assertEqual(self._show(done, *bad), ["ok"] + ["error"] * len(bad))
        delivery = self._deliveries()
        self.assertEqual((delivery.state, delivery.attempts, delivery.next_retry_at), ("delivered", 2, False))
        self.assertEqual(delivery.last_status, 204)

    def test_each_endpoint_has_its_own_delivery_of_an_event(self):
        self.assertEqual(self._show(self._row(), self._row(endpoint=8, attempts=5)), ["ok", "ok"])
        self.assertEqual([(one.endpoint, one.attempts) for one in self._deliveries()], [(7, 1), (8, 5)])

    def test_without_endpoint_it_is_the_service_s_own(self):
        self._show({name: value for name, value in self._row().items() if name != "endpoint"})
        self.assertEqual(self._deliveries().endpoint, self.service.id)

    def test_other_services_cannot_touch_it(self):
        self._show(self._row())
        self.env["fusion.billing.service"].create({"name": "Other", "code": "test-other"})
        self.assertEqual(self._show(self._row(service="test-other", attempts=9)), ["error"])
        self.assertEqual((self._deliveries().attempts, self._deliveries().service_id), (1, self.service))

    def test_replay_is_handed_out_once_and_reported(self):
        self._show(self._row(state="dead"), self._row(endpoint=8))
        dead = self._deliveries()[0]
        self.assertEqual(self.api.fc_take_replays(), [])
        dead.action_replay()
        dead.action_replay()
        [taken] = self.api.fc_take_replays()
        self.assertEqual((taken["event_id"], taken["endpoint"]), ("e1", 7))
        self.assertEqual(self.api.fc_take_replays(), [], "somebody works on it")
        dead.replay_taken_at = fields.Datetime.now() - timedelta(minutes=3)
        self.assertEqual(self.api.fc_take_replays(), [taken], "whoever took it is gone")
        self.api.fc_report_replays(rows=[{"id": taken["id"]}, {"id": 2**31 - 1}])
        self.assertFalse(dead.replay_requested_at)
        self.assertEqual(self.api.fc_take_replays(), [])

    def test_replay_that_cannot_be_says_why(self):
        self._show(self._row(state="dead"))
        self._deliveries().action_replay()
        [taken] = self.api.fc_take_replays(limit=1)
        self.api.fc_report_replays(rows=[{"id": taken["id"], "error": "not kept any more"}])
        self.assertEqual(self._deliveries().last_error, "not kept any more")
        self._deliveries().payload = False
        with self.assertRaises(UserError):
            self._deliveries().action_replay()

    def test_only_managers_may_ask_for_a_replay(self):
        self._show(self._row(state="dead"))
        user = new_test_user(self.env, login="fusion_looker", groups="fusion_billing.group_user")
        with self.assertRaises(AccessError):
            self._deliveries().with_user(user).action_replay()
        manager = new_test_user(self.env, login="fusion_replayer", groups="fusion_billing.group_manager")
        self._deliveries().with_user(manager).action_replay()
        self.assertTrue(self._deliveries().replay_requested_at)

    def test_deliveries_that_ended_long_ago_are_forgotten(self):
        self._show(self._row(state="dead"), self._row(endpoint=8, state="pending"), self._row(endpoint=9, state="dead"))
        dead, pending, recent = self._deliveries()
        self.env.flush_all()
        long_ago = fields.Datetime.now() - timedelta(days=91)
        self.cr.execute(
            "UPDATE fusion_billing_webhook SET write_date = %s WHERE id IN %s", [long_ago, (dead.id, pending.id)]
        )
        self.env.invalidate_all()
        self.env["fusion.billing.webhook"]._gc_ended()
        self.assertEqual(self._deliveries(), pending | recent)
