"""CloudEvents' headers of a delivery's records."""

from datetime import datetime

from schemas.cloudevents import DELIVERY_TYPE, Headers, headers
from sinks.webhooks.glance import Whole

_SOURCE = "/webhook-sink"


def headers_of_delivery(delivery: Whole, now: datetime, traceparent: bytes | None = None) -> Headers:
    """Return the headers of one state; the id is that of the state, not of the event: an event has many states."""
    state = f"{delivery.event_id}:{delivery.endpoint_id}:{delivery.attempts}:{delivery.state.value}"
    return headers(event_type=DELIVERY_TYPE, event_id=state, source=_SOURCE, time=now, traceparent=traceparent)
