"""Taking in one usage record: the counters to apply here, those of other partitions, and what is refused for ever."""

import base64
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from schemas.errors import Reason, Refused
from schemas.events import Refusal, Rejected
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of
from schemas.topics import REJECTED_BYTES_MAX
from schemas.wire import CounterColumns, RefusedCounter, decode_batch, encode_batch, to_counters
from streams.domain.screening import Metrics, forbidden, screen
from streams.records import LogRecord

_MESSAGE_LENGTH_MAX = 1000
# The log's own limit is on compressed records; what we publish of them must fit uncompressed.
_STRAY_BYTES_MAX = 900_000
_REFUSALS_WHEN_LARGE = 100
_PERIOD_CLOSED = (
    "the counter or its period is closed and invoiced, and the usage log no longer holds what a change needs:"
    " nothing has been changed, bill or credit it by hand"
)


@dataclass(frozen=True, slots=True)
class Intake:
    """What one record comes to.

    `strays` are batches with the other partition that each belongs to; `negative` the (service, metric) of counters
    that were refused because of their sign, which the catalog decides.
    """

    counters: CounterColumns | None
    strays: list[tuple[int, bytes]]
    stray_count: int
    rejected: Rejected | None
    negative: frozenset[tuple[str, str]] = frozenset()


def take_in(record: LogRecord, topic: str, partitions: int, catalog: Metrics) -> Intake:
    """Decode, check and sort one record of `topic`; never raises for bad input."""
    try:
        decoded, refused = decode_batch(record.value or b"")
    except Refused as error:
        whole = RefusedCounter(None, error.reason, error.field, str(error))
        return Intake(None, [], 0, _rejected(record, topic, [whole]))
    # Strays are screened where they belong: each counter is judged by one partition, once.
    own, strays = _by_home(decoded, record.partition, partitions)
    negative: set[tuple[str, str]] = set()
    if own is not None:
        negative = {(own.service, own.metrics[own.metric[position]]) for position in forbidden(own, catalog)}
        own, more = screen(own, catalog)
        refused = sorted([*refused, *more], key=_index)
    return Intake(
        counters=own,
        strays=[(home, batch) for home, each in strays.items() for batch in _batches(each)],
        stray_count=sum(map(len, strays.values())),
        rejected=_rejected(record, topic, refused) if refused else None,
        negative=frozenset(negative),
    )


def without_late(record: LogRecord, topic: str, intake: Intake, late: Collection[int]) -> Intake:
    """Return what a record comes to if the counters at these positions are refused, as their period is closed."""
    counters = intake.counters
    if counters is None or not late:
        return intake
    before = intake.rejected.refusals if intake.rejected else ()
    refused = [RefusedCounter(each.index, each.reason, each.field, each.message) for each in before]
    refused += [
        RefusedCounter(counters.index_of(at), Reason.PERIOD_CLOSED, "idempotency_key", _PERIOD_CLOSED) for at in late
    ]
    kept = counters.select([position for position in range(len(counters)) if position not in late])
    return replace(intake, counters=kept, rejected=_rejected(record, topic, sorted(refused, key=_index)))


def _index(refused: RefusedCounter) -> int:
    return refused.index or 0


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


def _batches(counters: CounterColumns) -> Iterator[bytes]:
    """Encode counters in as many batches as it takes to keep each within what a record may have."""
    batch = encode_batch(counters.service, to_counters(counters))
    if len(batch) <= _STRAY_BYTES_MAX or len(counters) == 1:
        yield batch
        return
    middle = len(counters) // 2
    for half in (range(middle), range(middle, len(counters))):
        yield from _batches(counters.select(half))


def _rejected(record: LogRecord, topic: str, refused: Sequence[RefusedCounter]) -> Rejected:
    """Return what is published of refused input.

    A record beyond all measure is named by its place in the log and its first refusals; it must not be able to
    hold up the outbox.
    """
    original = base64.b64encode(record.value or b"").decode()
    is_large = len(original) + sum(len(each.message) + 200 for each in refused) > REJECTED_BYTES_MAX // 2
    if is_large:
        original, refused = "", refused[:_REFUSALS_WHEN_LARGE]
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
        original=original,
    )
