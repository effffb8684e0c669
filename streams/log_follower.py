"""From the usage log into the store: each record once and in order, gaps filled from the log itself."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from schemas import topics
from schemas.errors import ConfigurationError
from streams import metrics
from streams.failpoints import failpoint
from streams.intake import take_in
from streams.records import LogRecord, Outgoing
from streams.state import Neighbours, PartitionState
from streams.store.partition_store import PartitionStore

log = structlog.get_logger()


@dataclass(slots=True)
class LogFollower:
    """Applies records of the usage log to a store."""

    state: PartitionState
    neighbours: Neighbours

    async def meet_the_log(self, store: PartitionStore) -> None:
        """Compare a store with what the log still holds; never go on silently over records that are gone."""
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
            store.applied_offset = first - 1

    async def apply(self, record: LogRecord) -> None:
        """Apply one record to the partition's store: skip what it has, fill a gap from the log first."""
        store = self.state.store
        if record.offset > store.applied_offset + 1:
            await self.replay(store, record.offset)
        if record.offset == store.applied_offset + 1:
            self.apply_next(store, record)

    async def replay(self, store: PartitionStore, end: int) -> None:
        """Bring a store up to `end` from the log itself; a range of nothing but markers is legal."""
        partition, start = self.state.partition, store.applied_offset + 1
        log.info("log.replaying", partition=partition, start=start, end=end)
        remaining = metrics.RESTORE_REMAINING.labels(partition)
        async with aclosing(self.neighbours.log_reader.read(partition, start, end)) as records:
            async for record in records:
                if record.offset > store.applied_offset:
                    self.apply_next(store, record)
                    failpoint("replay.applied")
                    remaining.set(end - record.offset)
                await asyncio.sleep(0)
        remaining.set(0)
        store.applied_offset = max(store.applied_offset, end - 1)

    def apply_next(self, store: PartitionStore, record: LogRecord) -> None:
        """Decode, check and apply one record in one step; bad input never stops the partition."""
        neighbours, settings = self.neighbours, self.neighbours.settings
        intake = take_in(record, settings.topic(topics.USAGE), neighbours.partitions, neighbours.catalog)
        failpoint("apply.decoded")
        applied = store.apply(record.offset, intake.counters)
        failpoint("apply.counted")
        outgoing = [Outgoing(settings.topic(topics.USAGE), None, batch, home) for home, batch in intake.strays]
        if intake.rejected is not None:
            value = intake.rejected.model_dump_json().encode()
            outgoing.append(Outgoing(settings.topic(topics.REJECTED), record.key, value))
            for refusal in intake.rejected.refusals:
                metrics.COUNTERS_REJECTED.labels(refusal.reason.value).inc()
        self.state.outbox.put(record.offset, outgoing)
        failpoint("apply.noted")
        metrics.COUNTERS_FORWARDED.inc(intake.stray_count)
        for outcome in ("inserted", "replaced", "duplicates", "superseded"):
            metrics.COUNTERS_APPLIED.labels(outcome).inc(getattr(applied, outcome))
        metrics.COUNTERS_STRADDLING.inc(applied.straddling)
        metrics.APPLIED_OFFSET.labels(self.state.partition).set(record.offset)
