"""Taking in one usage record: the counters to apply here, those of other partitions, and what is refused for ever."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import Refused
from schemas.events import Refusal, Rejected
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of
from schemas.wire import CounterColumns, RefusedCounter, decode_batch, encode_batch, to_counters
from streams.domain.screening import Metrics, screen
from streams.records import LogRecord

_MESSAGE_LENGTH_MAX = 1000


@dataclass(frozen=True, slots=True)
class Intake:
    """What one record comes to; `strays` maps another partition to the batch that belongs there."""

    counters: CounterColumns | None
    strays: dict[int, bytes]
    stray_count: int
    rejected: Rejected | None


def take_in(record: LogRecord, topic: str, partitions: int, catalog: Metrics) -> Intake:
    """Decode, check and sort one record of `topic`; never raises for bad input."""
    try:
        decoded, refused = decode_batch(record.value or b"")
    except Refused as error:
        whole = RefusedCounter(None, error.reason, error.field, str(error))
        return Intake(None, {}, 0, _rejected(record, topic, [whole]))
    allowed, forbidden = screen(decoded, catalog)
    own, strays = _by_home(allowed, record.partition, partitions)
    refused = [*refused, *forbidden]
    return Intake(
        counters=own,
        strays={home: encode_batch(allowed.service, to_counters(each)) for home, each in strays.items()},
        stray_count=sum(map(len, strays.values())),
        rejected=_rejected(record, topic, refused) if refused else None,
    )


def _by_home(
    counters: CounterColumns, here: int, partitions: int
) -> tuple[CounterColumns | None, dict[int, CounterColumns]]:
    """Return this partition's counters and those of each other one; usually all are at home."""
    homes = [partition_of(usage_key(counters.service, name), partitions) for name in counters.subscriptions]
    if all(home == here for home in homes):
        return counters, {}
    positions: dict[int, list[int]] = {}
    for position, subscription in enumerate(counters.subscription):
        positions.setdefault(homes[subscription], []).append(position)
    selected = {home: counters.select(chosen) for home, chosen in positions.items()}
    return selected.pop(here, None), selected


def _rejected(record: LogRecord, topic: str, refused: Sequence[RefusedCounter]) -> Rejected:
    refusals = [
        Refusal(index=each.index, reason=each.reason, field=each.field, message=each.message[:_MESSAGE_LENGTH_MAX])
        for each in refused
    ]
    return Rejected(
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        reason=refusals[0].reason,
        message=refusals[0].message,
        refusals=refusals,
        original_key=None if record.key is None else base64.b64encode(record.key).decode(),
        original=base64.b64encode(record.value or b"").decode(),
    )
