"""CloudEvents' headers of what the meter publishes; made when it is published, so that no snapshot holds them."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from schemas import topics
from schemas.cloudevents import OVERAGE_TYPE, REJECTED_TYPE, TOTAL_TYPE, USAGE_TYPE, Headers, headers, versioned_id
from schemas.derived import Overage, Total
from schemas.settings import Settings
from streams.partition.state import PartitionState
from streams.records import Outgoing

METER = "/fusion-billing/meter"
# A total and an overage may have one key and one version, where a charge is called like its metric.
_TOTALS, _OVERAGE = f"{METER}/totals", f"{METER}/overage"
_INPUT = f"{METER}/input"


def totals(values: Iterable[Total], settings: Settings, now: datetime) -> list[Outgoing]:
    """Return totals, ready to be published."""
    return _derived(values, settings.topic(topics.TOTALS), TOTAL_TYPE, _TOTALS, now)


def overages(values: Iterable[Overage], settings: Settings, now: datetime) -> list[Outgoing]:
    """Return overage, ready to be published."""
    return _derived(values, settings.topic(topics.OVERAGE), OVERAGE_TYPE, _OVERAGE, now)


def waiting_input(state: PartitionState, settings: Settings, now: datetime) -> list[Outgoing]:
    """Return what the outbox holds of refused and stray input, ready to be published, oldest first."""
    rejected = settings.topic(topics.REJECTED)
    made = []
    for offset, records in groupby(state.outbox.waiting, itemgetter(0)):
        for number, (_, topic, key, value, partition) in enumerate(records):
            event_type = REJECTED_TYPE if topic == rejected else USAGE_TYPE
            ours = _input_headers(event_type, f"{_place(state, settings, offset)}.{number}", now)
            made.append(Outgoing(topic, key, value, partition, ours))
    return made


def late_refusal(state: PartitionState, settings: Settings, offset: int, index: int | None, now: datetime) -> Headers:
    """Return the headers of a refusal that the catalog decided later, by the first counter it names."""
    return _input_headers(REJECTED_TYPE, f"{_place(state, settings, offset)}.late.{index}", now)


def _derived(
    values: Iterable[Total] | Iterable[Overage], topic: str, event_type: str, source: str, now: datetime
) -> list[Outgoing]:
    made = []
    for each in values:
        key = each.key
        event_id = versioned_id(key, each.version)
        ours = headers(event_type=event_type, event_id=event_id, source=source, time=now)
        made.append(Outgoing(topic, key.encode(), each.model_dump_json().encode(), headers=ours))
    return made


def _place(state: PartitionState, settings: Settings, offset: int) -> str:
    """Return where the input came from: offsets begin anew with each epoch."""
    return f"{settings.usage_epoch}.{state.partition}.{offset}"


def _input_headers(event_type: str, event_id: str, now: datetime) -> Headers:
    return headers(event_type=event_type, event_id=event_id, source=_INPUT, time=now)
