"""From the usage log into the store: each record once and in order, gaps filled from the log itself."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from schemas import topics
from schemas.errors import ConfigurationError
from streams import metrics
from streams.failpoints import failpoint
from streams.intake.one_record import Intake, take_in, without_late
from streams.intake.run_of_records import Taken, take_in_run
from streams.partition import late_refusals
from streams.partition.state import Neighbours, PartitionState
from streams.records import LogRecord, Outgoing
from streams.store.counters import CounterArrays
from streams.store.partition_store import PartitionStore, Prepared

# A run of counters takes about 0.5 µs for each 45 bytes in containers, 3 µs for each record of one.
_RUN_BYTES_MAX = 400_000
_RECORD_BYTES = 100

log = structlog.get_logger()


class LateCounter(Exception):
    """A counter cannot be counted without rows that were dropped; the store has to be made anew first."""


@dataclass(slots=True)
class LogFollower:
    """Applies records of the usage log to a store."""

    state: PartitionState
    neighbours: Neighbours

    async def meet_the_log(self, store: PartitionStore) -> bool:
        """Compare a store with what the log still holds, and tell whether all that the store lacks is there.

        Never goes on silently over records that are gone.
        """
        partition = self.state.partition
        first, end = await self.neighbours.log_reader.bounds(partition)
        if store.applied_offset + 1 > end:
            raise ConfigurationError(
                f"partition {partition}: the store has applied offset {store.applied_offset}, the usage log"
                f" ends at {end}. Was the topic made anew? Raise FUSION_USAGE_EPOCH"
            )
        if store.applied_offset + 1 < first:
            if store.applied_offset >= 0:
                log.error("log.records_lost", partition=partition, applied=store.applied_offset, log_start=first)
            store.applied_offset, store.first_offset = first - 1, first
            return False
        return True

    async def apply(self, records: Sequence[LogRecord]) -> None:
        """Apply records, in the log's order, to the partition's store: skip what it has, fill gaps from the log."""
        store = self.state.store
        records = [record for record in records if record.offset > store.applied_offset]
        while records:
            if records[0].offset > store.applied_offset + 1:
                await self.replay(store, records[0].offset)
            run = _consecutive(records)
            self.apply_run(store, run)
            # Not simply the rest: what filled a gap may have held some of it.
            records = [record for record in records[len(run) :] if record.offset > store.applied_offset]

    async def replay(self, store: PartitionStore, end: int) -> None:
        """Bring a store up to `end` from the log itself; a range of nothing but markers is legal."""
        partition, start = self.state.partition, store.applied_offset + 1
        log.info("log.replaying", partition=partition, start=start, end=end)
        remaining = metrics.RESTORE_REMAINING.labels(partition)
        async with aclosing(self.neighbours.log_reader.fetches(partition, start, end)) as fetches:
            async for fetched in fetches:
                for run in runs(fetched):
                    new = [record for record in run if record.offset > store.applied_offset]
                    if new:
                        self.apply_run(store, new)
                        failpoint("replay.applied")
                        remaining.set(end - 1 - store.applied_offset)
                    await asyncio.sleep(0)
        remaining.set(0)
        store.applied_offset = max(store.applied_offset, end - 1)

    def apply_next(self, store: PartitionStore, record: LogRecord) -> None:
        """Decode, check and apply one record in one step; bad input never stops the partition."""
        self.apply_run(store, [record])

    def apply_run(self, store: PartitionStore, records: Sequence[LogRecord]) -> None:
        """Decode, check and apply records in one step; equal to applying each by itself.

        Raises:
            LateCounter: one of them needs rows that were dropped; nothing has changed. Not once the log has turned
                out not to hold them: such counters are refused then.
        """
        neighbours, topic = self.neighbours, self.neighbours.settings.topic(topics.USAGE)
        taken = take_in_run(records, topic, neighbours.partitions, neighbours.catalog)
        failpoint("apply.decoded")
        prepared = [store.prepare(counters) for counters in taken.counters]
        if any(each.late.size for each in prepared):
            if not store.closed.is_final:
                raise LateCounter
            if len(records) > 1:
                for record in records:
                    self.apply_run(store, [record])
                return
            taken = self._without_late(store, records[0], prepared)
            prepared = [store.prepare(counters) for counters in taken.counters]
        last_offset = records[-1].offset
        applied = [store.apply_prepared(last_offset, each) for each in prepared]
        store.applied_offset = last_offset
        failpoint("apply.counted")
        for record, intake in taken.intakes:
            store.screened.note_forbidden(intake.negative)
            self._note(record, intake)
        self.state.outbox.put(last_offset, ())
        failpoint("apply.noted")
        for outcome in ("inserted", "replaced", "duplicates", "superseded"):
            metrics.COUNTERS_APPLIED.labels(outcome).inc(sum(getattr(each, outcome) for each in applied))
        metrics.COUNTERS_STRADDLING.inc(sum(each.straddling for each in applied))
        metrics.COUNTERS_SPLIT.inc(sum(each.split for each in applied))
        metrics.APPLIED_OFFSET.labels(self.state.partition).set(last_offset)

    def _without_late(self, store: PartitionStore, record: LogRecord, prepared: Sequence[Prepared]) -> Taken:
        """Refuse what needs rows that were dropped, and take in the rest of a record."""
        neighbours, topic = self.neighbours, self.neighbours.settings.topic(topics.USAGE)
        for each in prepared:
            numbers = set(each.batch.aggregate[each.late].tolist())
            store.closed.refused |= {store.aggregates.keys[number][:4] for number in numbers}
        late = {position for each in prepared for position in each.late.tolist()}
        # One record makes one part, whose positions are those of its own counters.
        intake = without_late(record, topic, take_in(record, topic, neighbours.partitions, neighbours.catalog), late)
        left = intake.counters
        return Taken([CounterArrays.of(left, record.offset)] if left else [], [(record, intake)])

    def _note(self, record: LogRecord, intake: Intake) -> None:
        """Put a record's refused and stray counters into the outbox."""
        settings = self.neighbours.settings
        outgoing = [Outgoing(settings.topic(topics.USAGE), None, batch, home) for home, batch in intake.strays]
        if intake.rejected is not None:
            value = intake.rejected.model_dump_json().encode()
            outgoing.append(Outgoing(settings.topic(topics.REJECTED), record.key, value))
            for refusal in intake.rejected.refusals:
                metrics.COUNTERS_REJECTED.labels(refusal.reason.value).inc()
            if record.offset < self.state.outbox.noted:
                late_refusals.note(self.state, intake.rejected)
        self.state.outbox.put(record.offset, outgoing)
        metrics.COUNTERS_FORWARDED.inc(intake.stray_count)


def runs(records: Sequence[LogRecord]) -> Iterator[Sequence[LogRecord]]:
    """Cut records into runs that take a few milliseconds each: the event loop has other work as well."""
    start, size_bytes = 0, 0
    for at, record in enumerate(records):
        size_bytes += len(record.value or b"") + _RECORD_BYTES
        if size_bytes > _RUN_BYTES_MAX:
            yield records[start : at + 1]
            start, size_bytes = at + 1, 0
    if start < len(records):
        yield records[start:]


def _consecutive(records: Sequence[LogRecord]) -> Sequence[LogRecord]:
    """Return the records up to the first gap."""
    first = records[0].offset
    if records[-1].offset - first == len(records) - 1:
        return records
    return [record for at, record in enumerate(records) if record.offset - first == at]
