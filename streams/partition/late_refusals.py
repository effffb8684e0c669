"""Refusals that the catalog decides, of records that were taken in before, perhaps under another catalog.

What is refused goes out once: everything of records before the settled offset is out. That holds for what a record
says by itself. Whether a negative quantity is refused depends on the catalog, too; when a record is replayed after
the catalog has changed, a refusal may be new. So it is looked up on `rejected.v1`, and published if it is not there.
"""

from collections.abc import Mapping
from contextlib import aclosing
from datetime import datetime

import msgspec
import structlog

from schemas import topics
from schemas.errors import Reason
from schemas.events import Refusal, Rejected
from streams.intake.one_record import take_in
from streams.partition import envelopes
from streams.partition.state import Neighbours, PartitionState
from streams.records import Outgoing

log = structlog.get_logger()


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
    """Note what has been refused of a record whose input had been settled before, if the catalog decided it."""
    indexes = tuple(each.index for each in _by_catalog(rejected) if each.index is not None)
    if indexes:
        state.late[rejected.offset] = indexes


async def missing(
    state: PartitionState, neighbours: Neighbours, late: Mapping[int, tuple[int, ...]], now: datetime
) -> list[Outgoing]:
    """Return what of `late` is not on `rejected.v1`, ready to be published; the partition must have been claimed."""
    if not late:
        return []
    unseen = await _unseen(state, neighbours, late)
    records = []
    for offset, indexes in sorted(unseen.items()):
        async with aclosing(neighbours.log_reader.read(state.partition, offset, offset + 1)) as found:
            async for record in found:
                topic = neighbours.settings.topic(topics.USAGE)
                rejected = take_in(record, topic, neighbours.partitions, neighbours.catalog).rejected
                refusals = [each for each in _by_catalog(rejected) if each.index in indexes] if rejected else []
                if rejected is not None and refusals:
                    value = rejected.model_copy(
                        update={"refusals": refusals, "reason": refusals[0].reason, "message": refusals[0].message}
                    )
                    name = neighbours.settings.topic(topics.REJECTED)
                    ours = envelopes.late_refusal(state, neighbours.settings, offset, refusals[0].index, now)
                    records.append(Outgoing(name, record.key, value.model_dump_json().encode(), headers=ours))
    log.info("refusals.looked_up", partition=state.partition, source_records=len(late), missing=len(records))
    return records


def settle(state: PartitionState, late: Mapping[int, tuple[int, ...]]) -> None:
    """Note that `late` is out; what was noted anew meanwhile stays."""
    for offset, indexes in late.items():
        if state.late.get(offset) == indexes:
            del state.late[offset]


async def _unseen(
    state: PartitionState, neighbours: Neighbours, late: Mapping[int, tuple[int, ...]]
) -> dict[int, set[int]]:
    usage, rejected = neighbours.settings.topic(topics.USAGE), neighbours.settings.topic(topics.REJECTED)
    unseen = {offset: set(indexes) for offset, indexes in late.items()}
    start = state.positions if min(late) > state.past_offset else {}
    ends = await neighbours.derived.ends([rejected])
    async with aclosing(neighbours.derived.read(start, ends)) as records:
        async for record in records:
            _cross_off(unseen, record.value, (usage, state.partition))
    # What waits in the outbox goes out with the same transaction.
    for waiting in state.outbox.records():
        if waiting.topic == rejected:
            _cross_off(unseen, waiting.value, (usage, state.partition))
    return {offset: indexes for offset, indexes in unseen.items() if indexes}


def _cross_off(unseen: dict[int, set[int]], value: bytes, place: tuple[str, int]) -> None:
    """Take out what a rejected record of one partition lists."""
    try:
        seen = _SEEN.decode(value)
    except msgspec.DecodeError:
        return
    if (seen.topic, seen.partition) == place and seen.offset in unseen:
        # Without its original it was too large, and lists the first refusals only.
        everything = set() if seen.original else unseen[seen.offset].copy()
        unseen[seen.offset] -= everything | {each.index for each in seen.refusals if each.index is not None}


def _by_catalog(rejected: Rejected) -> list[Refusal]:
    return [each for each in rejected.refusals if each.reason is Reason.NEGATIVE_QUANTITY]
