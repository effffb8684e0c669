"""Shows deliveries in Odoo. Runs beside the Odoo sink, not in the webhook sink: Odoo away delays no webhook.

It only follows `deliveries.v1`: nothing waits for it, and what it shows may be seconds, or an outage of Odoo, old.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from threading import Event

import structlog

from schemas.errors import OdooRefused
from schemas.events import Delivery, DeliveryState
from schemas.odoo_rpc import DeliveryRow, OdooBilling, OdooTransport
from schemas.periods import format_instant
from schemas.settings import Settings
from schemas.topics import DELIVERIES
from sinks import metrics
from sinks.health import Health
from sinks.kafka_client import GroupConsumer, Record
from sinks.runner import Runner, beside, when_available
from sinks.webhooks.journal import read_journal
from sinks.webhooks.odoo_replays import ReplayRequests

log = structlog.get_logger()

_CALLS_PER_POLL = 4  # more records at once coalesce better


class OdooView:
    """The sink of `deliveries.v1`. One thread. A row that Odoo refuses is counted and passed over: a view only."""

    name: metrics.Sink = "webhook-view"

    def __init__(self, settings: Settings, odoo: OdooBilling) -> None:
        self._odoo = odoo
        self._rows_max = settings.odoo_rows_per_call

    def write(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Write the newest state of each delivery; then all of the records are settled."""
        newest: dict[bytes, Delivery] = {}
        for record in records:
            # An expired delivery stays in Odoo, as history.
            state = None if record.value is None else read_journal(record)
            if isinstance(state, Delivery):
                newest[record.key or b""] = state
        rows = [row_of(delivery) for delivery in newest.values()]
        for start in range(0, len(rows), self._rows_max):
            self._write_call(rows[start : start + self._rows_max])
        yield records

    def _write_call(self, rows: list[DeliveryRow]) -> None:
        try:
            results = self._odoo.upsert_deliveries(rows)
        except OdooRefused as refusal:
            if len(rows) > 1:
                middle = len(rows) // 2
                self._write_call(rows[:middle])
                self._write_call(rows[middle:])
                return
            metrics.SINK_ROWS.labels(self.name, "refused").inc()
            log.warning("webhook.not_shown", event_id=rows[0]["event_id"], error=str(refusal)[:500])
            return
        for result in results:
            metrics.SINK_ROWS.labels(self.name, result["status"]).inc()
            if result["status"] == "error":
                log.warning("webhook.not_shown", event_id=result["event_id"], error=result.get("error", "")[:500])


def row_of(delivery: Delivery) -> DeliveryRow:
    """Return what finance sees of a delivery."""
    error = delivery.last_error
    if error is None and delivery.state is not DeliveryState.DELIVERED and delivery.last_status is not None:
        error = f"the app answered {delivery.last_status}"
    due_at = delivery.next_attempt_at
    return DeliveryRow(
        service=delivery.service,
        event_id=delivery.event_id,
        endpoint=delivery.endpoint_id,
        event_type=delivery.event_type,
        payload=delivery.body,
        state=delivery.state.value,
        attempts=delivery.attempts,
        next_retry_at=None if due_at is None else format_instant(due_at),
        last_status=delivery.last_status,
        last_error=error,
    )


def run(
    settings: Settings,
    odoo_transport_factory: Callable[[Settings], OdooTransport],
    stop_event: Event,
    health: Health,
) -> None:
    """Follow the deliveries until `stop_event`. Kafka or Odoo away: waits and goes on by itself."""
    replays = ReplayRequests(settings, OdooBilling(odoo_transport_factory(settings)))
    with ExitStack() as closing, beside(replays.run, stop_event):
        consumer = when_available(lambda: _consumer(settings), stop_event)
        if consumer is None:
            return
        closing.callback(consumer.close)
        view = OdooView(settings, OdooBilling(odoo_transport_factory(settings)))
        Runner(consumer, view, health).run(stop_event)


def _consumer(settings: Settings) -> GroupConsumer:
    group = f"{settings.topic_prefix}webhook-view"
    return GroupConsumer(settings, settings.topic(DELIVERIES), group, _CALLS_PER_POLL * settings.odoo_rows_per_call)
