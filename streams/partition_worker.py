"""One source partition at work: its store, its fenced publisher, its snapshots.

Order of what happens to a record, each step repeatable after a crash at any point:

1. apply: rows, aggregates, dirty marks and applied offset change in one step without await;
2. publish: absolute, versioned values of dirty aggregates and refused input go out in one transaction;
3. clear: a mark goes only after its acknowledgement, and only if the aggregate was not marked again meanwhile;
4. snapshot: state, marks and whatever is not published yet are saved together.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from schemas import topics
from schemas.errors import BrokerUnavailable, ConfigurationError, OwnershipLost
from schemas.settings import Settings
from streams import metrics
from streams.derive import derive
from streams.domain.catalog import CatalogView, Touched, is_invoiced
from streams.intake import take_in
from streams.kafka_client import FencedPublisher, LogReader
from streams.records import LogRecord, Outgoing
from streams.store import snapshots
from streams.store.partition_store import PartitionStore

# One transaction carries at most so many aggregates; more of them go out in several, oldest first.
_AGGREGATES_PER_TRANSACTION = 5_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What all partition workers of a meter share."""

    settings: Settings
    catalog: CatalogView
    log_reader: LogReader
    partitions: int


@dataclass(slots=True)
class PartitionWorker:
    """Owns partition `partition` from `open` to `close`; all methods run on one event loop.

    `waiting` holds the aggregates that cannot be rated until the catalog knows more.
    """

    partition: int
    neighbours: Neighbours
    publisher: FencedPublisher
    store: PartitionStore = field(init=False)
    waiting: set[int] = field(default_factory=set)
    _unpublished: list[snapshots.Unpublished] = field(default_factory=list)
    _flushing: asyncio.Task[None] | None = None
    _applying: asyncio.Lock = field(default_factory=asyncio.Lock)
    _publishing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _last_snapshot_at: float = 0.0
    _snapshot_offset: int = -1

    async def open(self) -> None:
        """Shut out a former owner, then load the newest snapshot, or start at the oldest record there is."""
        await self.publisher.start()
        neighbours = self.neighbours
        loaded = await asyncio.to_thread(
            snapshots.load_newest, self._directory, neighbours.settings.usage_epoch, neighbours.catalog
        )
        if loaded is None:
            self.store = PartitionStore(secrets.randbits(64), neighbours.catalog)
        else:
            self.store, self._unpublished = loaded
            self._snapshot_offset = self.store.applied_offset
        await self._meet_the_log()
        # The catalog may have moved on since the snapshot: counters go where it puts them now.
        self.store.reassign(range(len(self.store.aggregates)))
        self._last_snapshot_at = time.monotonic()
        log.info("partition.opened", partition=self.partition, next_offset=self.next_offset, rows=self.store.rows.size)

    async def reopen(self) -> None:
        """Take the partition up again after a rebalance gave it back: the store is still a prefix of the log."""
        await self.publisher.start()

    def start(self, supervised: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]) -> None:
        """Start publishing and snapshots, as a task made by `supervised`."""
        self._flushing = supervised(self._flush_regularly(), f"flush-{self.partition}")

    async def pause(self) -> None:
        """Stop publishing and give up the transactional id; the store stays in memory."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
            self._flushing = None
        await self.publisher.close()

    async def close(self) -> None:
        """Publish what is dirty, if possible, save a snapshot and let go."""
        try:
            await self.flush()
        except (BrokerUnavailable, OwnershipLost) as error:
            # Nothing is lost: the marks are in the snapshot, and in the log behind it.
            log.warning("flush.left_undone", partition=self.partition, error=str(error))
        await self.pause()
        await self.snapshot()

    @property
    def next_offset(self) -> int:
        """The first record that is not in the store yet."""
        return self.store.applied_offset + 1

    async def apply(self, record: LogRecord) -> None:
        """Apply one record of the log: skip what the store has, fill a gap from the log first."""
        async with self._applying:
            if record.offset > self.next_offset:
                await self._replay(record.offset)
            if record.offset == self.next_offset:
                self._apply_next(record)

    def catalog_changed(self, touched: Touched) -> None:
        """Move and mark what a catalog change touches; new terms leave invoiced periods alone."""
        for service, subscription in touched.subscriptions:
            self.store.reassign_subscription(service, subscription)
        if not touched.metrics:
            return
        for number, key in enumerate(self.store.aggregates.keys):
            if {(key.service, key.metric), (None, key.metric)} & touched.metrics and not self._is_invoiced(number):
                self.store.aggregates.mark(number)

    async def flush(self) -> None:
        """Publish what is dirty now, and refused or stray input; what changes meanwhile is for the next flush."""
        async with self._publishing:
            marked = self.store.aggregates.marked()
            for start in range(0, len(marked), _AGGREGATES_PER_TRANSACTION) or (0,):
                await self._publish(marked[start : start + _AGGREGATES_PER_TRANSACTION])

    async def _publish(self, marked: Sequence[tuple[int, int]]) -> None:
        unpublished = list(self._unpublished)
        if not marked and not unpublished:
            return
        with metrics.FLUSH_DURATION.time():
            settings = self.neighbours.settings
            numbers = [number for number, _ in marked]
            derivation = derive(self.store, numbers, self.neighbours.catalog, settings.usage_epoch)
            records = [Outgoing(*each) for each in unpublished]
            for topic, derived in ((topics.TOTALS, derivation.totals), (topics.OVERAGE, derivation.overages)):
                name = settings.topic(topic)
                records += [Outgoing(name, each.key.encode(), each.model_dump_json().encode()) for each in derived]
            if records:
                await self.publisher.publish(records)
        for number, mark in marked:
            self.store.aggregates.unmark(number, mark)
        del self._unpublished[: len(unpublished)]
        self.waiting.difference_update(numbers)
        self.waiting.update(derivation.waiting)
        metrics.RECORDS_PUBLISHED.labels("totals").inc(len(derivation.totals))
        metrics.RECORDS_PUBLISHED.labels("overage").inc(len(derivation.overages))

    async def snapshot(self) -> None:
        """Save the store if it has moved on; a full disk pauses snapshots, not the role."""
        self._last_snapshot_at = time.monotonic()
        if self.store.applied_offset == self._snapshot_offset:
            return
        neighbours = self.neighbours
        image = snapshots.take(
            self.store, neighbours.settings.usage_epoch, neighbours.catalog.next_offset, list(self._unpublished)
        )
        offset = self.store.applied_offset
        try:
            with metrics.SNAPSHOT_DURATION.time():
                await asyncio.to_thread(snapshots.write, image, self._directory)
        except OSError as error:
            metrics.SNAPSHOT_FAILURES.inc()
            log.error("snapshot.failed", partition=self.partition, error=str(error))  # noqa: TRY400
            return
        self._snapshot_offset = offset
        log.info("snapshot.written", partition=self.partition, applied_offset=offset, rows=self.store.rows.size)

    @property
    def _directory(self) -> Path:
        settings = self.neighbours.settings
        return settings.meter_data_dir / f"epoch-{settings.usage_epoch}" / f"partition-{self.partition}"

    async def _meet_the_log(self) -> None:
        """Compare the store with what the log still holds; never go on silently over records that are gone."""
        first, end = await self.neighbours.log_reader.bounds(self.partition)
        if self.next_offset > end:
            raise ConfigurationError(
                f"partition {self.partition}: the store has applied offset {self.store.applied_offset}, the usage log"
                f" ends at {end}. Was the topic made anew? Raise FUSION_USAGE_EPOCH"
            )
        if self.next_offset < first:
            if self.store.applied_offset >= 0:
                log.error("log.records_lost", partition=self.partition, missing_from=self.next_offset, log_start=first)
            self.store.applied_offset = first - 1

    async def _replay(self, end: int) -> None:
        """Bring the store up to `end` from the log itself; a range of nothing but markers is legal."""
        start = self.next_offset
        log.info("gap.replaying", partition=self.partition, start=start, end=end)
        async for record in self.neighbours.log_reader.read(self.partition, start, end):
            if record.offset >= self.next_offset:
                self._apply_next(record)
                metrics.RESTORE_REMAINING.labels(self.partition).set(end - record.offset)
            await asyncio.sleep(0)
        metrics.RESTORE_REMAINING.labels(self.partition).set(0)
        self.store.applied_offset = max(self.store.applied_offset, end - 1)

    def _apply_next(self, record: LogRecord) -> None:
        """Decode, check and apply one record in one step; bad input never stops the partition."""
        neighbours = self.neighbours
        intake = take_in(record, neighbours.settings.topic(topics.USAGE), neighbours.partitions, neighbours.catalog)
        applied = self.store.apply(record.offset, intake.counters)
        if intake.rejected is not None:
            topic = neighbours.settings.topic(topics.REJECTED)
            self._unpublished.append((topic, record.key, intake.rejected.model_dump_json().encode(), None))
            for refusal in intake.rejected.refusals:
                metrics.COUNTERS_REJECTED.labels(refusal.reason.value).inc()
        for home, batch in intake.strays.items():
            self._unpublished.append((neighbours.settings.topic(topics.USAGE), None, batch, home))
        metrics.COUNTERS_FORWARDED.inc(intake.stray_count)
        for outcome in ("inserted", "replaced", "duplicates", "superseded"):
            metrics.COUNTERS_APPLIED.labels(outcome).inc(getattr(applied, outcome))
        metrics.COUNTERS_STRADDLING.inc(applied.straddling)
        metrics.APPLIED_OFFSET.labels(self.partition).set(record.offset)

    def _is_invoiced(self, number: int) -> bool:
        key = self.store.aggregates.keys[number]
        subscription = self.neighbours.catalog.subscription(key.service, key.subscription)
        return subscription is not None and is_invoiced(key.period_end, subscription)

    async def _flush_regularly(self) -> None:
        settings = self.neighbours.settings
        while True:
            await asyncio.sleep(settings.meter_flush_s)
            try:
                await self.flush()
            except BrokerUnavailable as error:
                log.warning("flush.postponed", partition=self.partition, error=str(error))
                await asyncio.sleep(error.retry_after_s)
            if time.monotonic() - self._last_snapshot_at >= settings.meter_snapshot_s:
                await self.snapshot()
