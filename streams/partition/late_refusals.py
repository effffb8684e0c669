"""Refusals that more than the record decides, of records that were taken in before, perhaps otherwise.

What is refused goes out once: everything of records before the settled offset is out. That holds for what a record
says by itself. Whether a negative quantity is refused depends on the catalog, too, and whether a counter of a closed
period is, on what the log still held; when a record is replayed after these have changed, a refusal may be new. So it
is looked up on `rejected.v1`, and published if it is not there.
"""

from collections.abc import Collection, Mapping
from contextlib import aclosing
from datetime import datetime

import msgspec
import structlog

from schemas import topics
from schemas.errors import Reason
from schemas.events import Rejected
from streams.intake.one_record import take_in, without_late
from streams.partition import envelopes
from streams.partition.state import Neighbours, PartitionState
from streams.records import LogRecord, Outgoing
from streams.store.snapshots import Late

log = structlog.get_logger()

_LATE = (Reason.NEGATIVE_QUANTITY, Reason.PERIOD_CLOSED)


class _Refusal(msgspec.Struct):
    index: int | None


class _Seen(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    refusals: list[_Refusal]
    original: str


_SEEN = msgspec.json.Decoder(_Seen)


def note(state: PartitionState, rejected: Rejected) -> None:
    """Note what has been refused of a record whose input had been settled before, if more than the record decided."""
    refusals = ((each.index, each.reason) for each in rejected.refusals if each.index is not None)
    if late := tuple((index, reason) for index, reason in refusals if reason in _LATE):
        state.late[rejected.offset] = late


async def missing(
    state: PartitionState, neighbours: Neighbours, late: Mapping[int, Late], now: datetime
) -> list[Outgoing]:
    """Return what of `late` is not on `rejected.v1`, ready to be published; the partition must have been claimed."""
    if not late:
        return []
    unseen = await _unseen(state, neighbours, late)
    records = []
    for offset, unknown in sorted(unseen.items()):
        async with aclosing(neighbours.log_reader.read(state.partition, offset, offset + 1)) as found:
            async for record in found:
                rejected = _of_now(record, neighbours, unknown)
                if rejected is not None:
                    name = neighbours.settings.topic(topics.REJECTED)
                    ours = envelopes.late_refusal(state, neighbours.settings, offset, rejected.refusals[0].index, now)
                    records.append(Outgoing(name, record.key, rejected.model_dump_json().encode(), headers=ours))
    log.info("refusals.looked_up", partition=state.partition, source_records=len(late), missing=len(records))
    return records


def settle(state: PartitionState, late: Mapping[int, Late]) -> None:
    """Note that `late` is out; what was noted anew meanwhile stays."""
    for offset, refusals in late.items():
        if state.late.get(offset) == refusals:
            del state.late[offset]


def _of_now(record: LogRecord, neighbours: Neighbours, wanted: Collection[tuple[int, Reason]]) -> Rejected | None:
    """Return which of these refusals hold now; those of closed periods for ever, the others as the catalog says."""
    topic = neighbours.settings.topic(topics.USAGE)
    intake = take_in(record, topic, neighbours.partitions, neighbours.catalog)
    closed = {index for index, reason in wanted if reason is Reason.PERIOD_CLOSED}
    counters = intake.counters
    positions = {at for at in range(len(counters)) if counters.index_of(at) in closed} if counters else set()
    rejected = without_late(record, topic, intake, positions).rejected
    refusals = [each for each in rejected.refusals if (each.index, each.reason) in wanted] if rejected else []
    if rejected is None or not refusals:
        return None
    told = {"refusals": refusals, "reason": refusals[0].reason, "message": refusals[0].message}
    return rejected.model_copy(update=told)


async def _unseen(
    state: PartitionState, neighbours: Neighbours, late: Mapping[int, Late]
) -> dict[int, set[tuple[int, Reason]]]:
    usage, rejected = neighbours.settings.topic(topics.USAGE), neighbours.settings.topic(topics.REJECTED)
    unseen = {offset: set(refusals) for offset, refusals in late.items()}
    start = state.positions if min(late) > state.past_offset else {}
    ends = await neighbours.derived.ends([rejected])
    async with aclosing(neighbours.derived.read(start, ends)) as records:
        async for record in records:
            _cross_off(unseen, record.value, (usage, state.partition))
    # What waits in the outbox goes out with the same transaction.
    for waiting in state.outbox.records():
        if waiting.topic == rejected:
            _cross_off(unseen, waiting.value, (usage, state.partition))
    return {offset: refusals for offset, refusals in unseen.items() if refusals}


def _cross_off(unseen: dict[int, set[tuple[int, Reason]]], value: bytes, place: tuple[str, int]) -> None:
    """Take out what a rejected record of one partition lists."""
    try:
        seen = _SEEN.decode(value)
    except msgspec.DecodeError:
        return
    if (seen.topic, seen.partition) == place and seen.offset in unseen:
        # Without its original it was too large, and lists the first refusals only.
        listed = {each.index for each in seen.refusals}
        unseen[seen.offset] = {each for each in unseen[seen.offset] if seen.original and each[0] not in listed}
