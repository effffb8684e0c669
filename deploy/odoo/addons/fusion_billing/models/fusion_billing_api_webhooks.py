import psycopg2

from odoo import api, models
from odoo.exceptions import ConcurrencyError

from ..lib.times import parse_instant
from .fusion_billing_api import RowError

STATES = ("pending", "delivered", "dead")
PAYLOAD_MAX = 65536
ERROR_MAX = 500
REPLAYS_MAX = 200


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_upsert_deliveries(self, rows):
        """Show webhook deliveries to finance.

        Args:
            rows: ``{service, event_id, endpoint?, event_type, payload, state, attempts, next_retry_at?, last_status?,
                last_error?}``; without `endpoint` the one of the service itself.

        Returns:
            ``{event_id, status: "ok" | "error", error?}`` per row, in order.
        """
        api_su = self._fc_enter(rows)
        results = []
        try:
            for row in rows:
                try:
                    with self.env.cr.savepoint():
                        api_su._fc_upsert_delivery(row)
                    results.append({"event_id": row["event_id"], "status": "ok"})
                except (RowError, ValueError) as error:
                    event_id = row.get("event_id") if isinstance(row, dict) else None
                    results.append({"event_id": event_id, "status": "error", "error": str(error)})
        except psycopg2.errors.UniqueViolation as error:
            raise ConcurrencyError(str(error)) from error
        return results

    @api.model
    def _fc_upsert_delivery(self, row):
        if not isinstance(row, dict):
            raise RowError("a row must be an object")
        service = self._fc_service(row)
        event_id = self._fc_text(row, "event_id")
        endpoint, state = self._fc_whole(row, "endpoint", service.id), row.get("state")
        if state not in STATES:
            raise RowError(f"state must be one of {', '.join(STATES)}", "state")
        retry_at = row.get("next_retry_at")
        values = {
            "event_type": self._fc_text(row, "event_type"),
            "payload": str(row.get("payload") or "")[:PAYLOAD_MAX],
            "state": state,
            "attempts": self._fc_whole(row, "attempts"),
            "next_retry_at": parse_instant(retry_at, "next_retry_at") if retry_at else False,
            "last_status": self._fc_whole(row, "last_status", 0),
            "last_error": str(row.get("last_error") or "")[:ERROR_MAX] or False,
        }
        deliveries = self.env["fusion.billing.webhook"]
        known = deliveries.search([("event_id", "=", event_id), ("endpoint", "=", endpoint)])
        if not known:
            deliveries.create({**values, "service_id": service.id, "event_id": event_id, "endpoint": endpoint})
        elif known.service_id != service:
            raise RowError("this delivery is another service's", "service")
        else:
            known.write(values)

    @api.model
    def _fc_whole(self, row, field, default=None):
        """Return a whole number of a row, or `default` where it is missing and may be."""
        value = row.get(field)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            raise RowError(f"{field} must be a whole number", field)
        return value

    @api.model
    def fc_take_replays(self, limit=50):
        """Hand out deliveries that people want made again, the oldest request first.

        What is not reported by `fc_report_replays` within two minutes is handed out again: the caller may be gone.

        Returns:
            ``{id, event_id, endpoint}`` each.
        """
        api_su = self._fc_enter()
        taken = api_su.env["fusion.billing.webhook"]._fc_take_replays(max(1, min(int(limit), REPLAYS_MAX)))
        return [{"id": one.id, "event_id": one.event_id, "endpoint": one.endpoint} for one in taken]

    @api.model
    def fc_report_replays(self, rows):
        """Note that replays are on their way, or why one cannot be.

        Args:
            rows: ``{id, error?}``; deliveries that are gone are passed over.
        """
        api_su = self._fc_enter(rows)
        for row in rows:
            delivery = api_su.env["fusion.billing.webhook"].browse(api_su._fc_whole(row, "id")).exists()
            refused = {"last_error": str(row["error"])[:ERROR_MAX]} if row.get("error") else {}
            delivery.write({"replay_requested_at": False, "replay_taken_at": False, **refused})
        return True
