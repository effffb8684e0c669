import psycopg2

from odoo import api, models
from odoo.exceptions import ConcurrencyError

from ..lib.times import parse_instant
from .fusion_billing_api import RowError

STATES = ("pending", "delivered", "dead")
PAYLOAD_MAX = 65536
ERROR_MAX = 500


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_upsert_deliveries(self, rows):
        """Show webhook deliveries to finance.

        Args:
            rows: ``{service, event_id, event_type, payload, state, attempts, next_retry_at?, last_error?}``.

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
        state, attempts = row.get("state"), row.get("attempts")
        if state not in STATES:
            raise RowError(f"state must be one of {', '.join(STATES)}", "state")
        if not isinstance(attempts, int) or isinstance(attempts, bool) or not 0 <= attempts < 10**6:
            raise RowError("attempts must be a whole number", "attempts")
        retry_at = row.get("next_retry_at")
        values = {
            "event_type": self._fc_text(row, "event_type"),
            "payload": str(row.get("payload") or "")[:PAYLOAD_MAX],
            "state": state,
            "attempts": attempts,
            "next_retry_at": parse_instant(retry_at, "next_retry_at") if retry_at else False,
            "last_error": str(row.get("last_error") or "")[:ERROR_MAX] or False,
        }
        deliveries = self.env["fusion.billing.webhook"]
        known = deliveries.search([("service_id", "=", service.id), ("event_id", "=", event_id)])
        if known:
            known.write(values)
        else:
            deliveries.create({**values, "service_id": service.id, "event_id": event_id})
