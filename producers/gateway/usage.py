"""From the body of `POST usage` to Kafka records: check all events, then pack them by partition. Pure."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from producers.gateway.catalog import CatalogView
from producers.gateway.errors import Detail, invalid, too_large
from producers.gateway.models import UsageEvent
from producers.gateway.validation import details_of
from producers.kafka_client import Record
from schemas.cloudevents import USAGE_TYPE, Headers, headers, usage_source
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of
from schemas.usage import COUNTERS_MAX, Counter
from schemas.wire import encode_batch

VALUE_BYTES_MAX = 900_000

_DETAILS_MAX = 1000
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the records of one request have in common."""

    topic: str
    service: str
    now: datetime
    new_id: Callable[[], str]
    traceparent: str | None = None


def checked_events(document: Mapping[str, Any], service: str, catalog: CatalogView) -> list[Counter]:
    """Return the request's counters.

    Raises:
        ApiError: 400 that names every bad event (the first thousand), 413 for more events than a batch may carry.
    """
    events = document.get("events")
    if not isinstance(events, list) or not events:
        raise invalid([Detail(field="events", message=f"must be a list of 1 to {COUNTERS_MAX} events")])
    if len(events) > COUNTERS_MAX:
        raise too_large(f"the request has {len(events)} events, at most {COUNTERS_MAX} are accepted")
    counters: list[Counter] = []
    details: list[Detail] = []
    for index, event in enumerate(events):
        try:
            counter = UsageEvent.model_validate(event)
        except ValidationError as error:
            details += [_placed(detail, event) for detail in details_of(error, index)]
        else:
            details += _catalog_details(index, counter, service, catalog)
            counters.append(counter)
        if len(details) >= _DETAILS_MAX:
            break
    if details:
        raise invalid(details[:_DETAILS_MAX])
    return counters


def records_of(envelope: Envelope, counters: Sequence[Counter], partitions: int) -> list[Record]:
    """Return one record per partition touched (more where one would grow too large).

    Raises:
        ApiError: 413 for a single counter that fits no record.
    """
    by_partition: dict[int, list[Counter]] = defaultdict(list)
    for counter in counters:
        by_partition[partition_of(usage_key(envelope.service, counter.subscription), partitions)].append(counter)
    return [
        Record(topic=envelope.topic, value=value, partition=partition, headers=_headers(envelope))
        for partition, group in by_partition.items()
        for value in _values(envelope.service, group)
    ]


def checked_traceparent(header: str | None) -> str | None:
    """Return a well-formed W3C trace parent, else None: what comes from outside goes no further unseen."""
    return header if header is not None and _TRACEPARENT.fullmatch(header) else None


def _placed(detail: Detail, event: object) -> Detail:
    """Name the field of an error of the event as a whole: the one such rule is about its end."""
    if detail.field is None and isinstance(event, dict):
        return detail.model_copy(update={"field": "period_end"})
    return detail


def _catalog_details(index: int, counter: Counter, service: str, catalog: CatalogView) -> list[Detail]:
    """Refuse only what a known metric forbids: an unknown one may become known, and then its counters count."""
    if counter.quantity >= 0:
        return []
    metric = catalog.metric(service, counter.metric)
    if metric is None or metric.allow_negative:
        return []
    return [Detail(index=index, field="quantity", message="must not be negative for this metric")]


def _values(service: str, counters: Sequence[Counter]) -> Iterator[bytes]:
    """Encode the counters, halving the batch until each value fits a record."""
    value = encode_batch(service, counters)
    if len(value) <= VALUE_BYTES_MAX:
        yield value
    elif len(counters) == 1:
        raise too_large("one event is larger than a Kafka record may be")
    else:
        half = len(counters) // 2
        yield from _values(service, counters[:half])
        yield from _values(service, counters[half:])


def _headers(envelope: Envelope) -> Headers:
    return headers(
        event_type=USAGE_TYPE,
        event_id=envelope.new_id(),
        source=usage_source(envelope.service),
        time=envelope.now,
        traceparent=envelope.traceparent,
    )
