"""Main of the role `odoo-sink`."""

from collections.abc import Callable
from contextlib import ExitStack
from threading import Event

import structlog

from schemas.odoo_rpc import OdooBilling, OdooTransport
from schemas.settings import Settings
from schemas.topics import OVERAGE
from sinks.health import Health
from sinks.kafka_client import GroupConsumer, Publisher
from sinks.odoo.sink import OdooSink
from sinks.runner import Runner, beside, when_available
from sinks.webhooks import odoo_view

log = structlog.get_logger()

_CALLS_PER_POLL = 4  # more records at once coalesce better; more than that only costs memory


def run(
    settings: Settings,
    odoo_transport_factory: Callable[[Settings], OdooTransport],
    stop_event: Event,
    health: Health | None = None,
) -> None:
    """Bring the overage of `overage.v1` into Odoo until `stop_event`; then finish the batch, commit, close, return.

    Several of these share the partitions. Kafka or Odoo away: waits, loses nothing, goes on by itself.
    """
    health = health or Health()
    with ExitStack() as closing, beside(_view(settings, odoo_transport_factory, health), stop_event):
        publisher = when_available(lambda: Publisher(settings), stop_event)
        if publisher is None:
            return
        closing.callback(publisher.close)
        consumer = when_available(lambda: _consumer(settings), stop_event)
        if consumer is None:
            return
        closing.callback(consumer.close)
        sink = OdooSink(settings, OdooBilling(odoo_transport_factory(settings)), publisher)
        closing.callback(sink.close)
        health.note("starting", works=True)
        log.info("odoo_sink.started", topic=settings.topic(OVERAGE))
        Runner(consumer, sink, health, on_revoked=sink.forget).run(stop_event)
    log.info("odoo_sink.stopped")


def _view(
    settings: Settings, odoo_transport_factory: Callable[[Settings], OdooTransport], health: Health
) -> Callable[[Event], None]:
    """Return the part that shows webhook deliveries in Odoo, on a connection and a thread of its own."""
    return lambda stop_event: odoo_view.run(settings, odoo_transport_factory, stop_event, health)


def _consumer(settings: Settings) -> GroupConsumer:
    return GroupConsumer(
        settings,
        settings.topic(OVERAGE),
        group=f"{settings.topic_prefix}odoo-sink",
        records_max=_CALLS_PER_POLL * settings.odoo_rows_per_call,
    )
