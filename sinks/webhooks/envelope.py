"""CloudEvents' headers of our records (Kafka binding, binary mode). Pure."""

from datetime import datetime

from schemas.events import Delivery
from schemas.periods import format_instant
from sinks.kafka_client.records import Headers

_TYPE = b"fusion.delivery.v1"
_CONSTANT: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_type", _TYPE),
    ("ce_source", b"/webhook-sink"),
    ("content-type", b"application/json"),
)


def headers_of_delivery(delivery: Delivery, now: datetime, traceparent: bytes | None = None) -> Headers:
    """Return the headers of one state; the id is that of the state, not of the event: an event has many states."""
    state = f"{delivery.event_id}:{delivery.endpoint_id}:{delivery.attempts}:{delivery.state.value}"
    varying: Headers = (("ce_id", state.encode()), ("ce_time", format_instant(now).encode()))
    return _CONSTANT + varying + (() if traceparent is None else (("traceparent", traceparent),))
