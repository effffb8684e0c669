"""One source partition at work: its store, its fenced publisher, its snapshots.

Order of what happens to a record, each step repeatable after a crash at any point:

1. apply: rows, aggregates, dirty marks, outbox and applied offset change in one step without await;
2. publish: absolute, versioned values of dirty aggregates and refused or stray input go out in one transaction,
   together with the source offset up to which such input is out;
3. clear: a mark goes only after its acknowledgement, and only if the aggregate was not marked again meanwhile;
4. snapshot: state, marks and whatever is not published yet are saved together.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
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
from streams.outbox import Outbox
from streams.records import LogRecord, Outgoing
from streams.store import snapshots
from streams.store.partition_store import PartitionStore

# One transaction carries at most so many aggregates; more of them go out in several, oldest first.
_AGGREGATES_PER_TRANSACTION = 5_000
_LAST_FLUSH_WITHIN_S = 10.0

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
    outbox: Outbox = field(default_factory=Outbox)
    waiting: set[int] = field(default_factory=set)
    _flushing: asyncio.Task[None] | None = None
    _writing: asyncio.Future[bool] | None = None
    _applying: asyncio.Lock = field(default_factory=asyncio.Lock)
    _publishing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _catalog_offset: int = 0
    _is_outdated: bool = False
    _last_snapshot_at: float = 0.0
    _snapshot_offset: int = -1

    async def open(self) -> None:
        """Load the newest snapshot, or start at the oldest record there is, then shut out a former owner."""
        neighbours = self.neighbours
        loaded = await asyncio.to_thread(
            snapshots.load_newest, self._directory, neighbours.settings.usage_epoch, neighbours.catalog
        )
        if loaded is None:
            self.store = PartitionStore(secrets.randbits(64), neighbours.catalog)
        else:
            self.store, context = loaded
            self.outbox = Outbox.load(context.settled, context.unpublished)
            self._catalog_offset = context.catalog_offset
            self._snapshot_offset = self.store.applied_offset
        await self._meet_the_log(self.store)
        self._last_snapshot_at = time.monotonic()
        await self.reopen()

    async def reopen(self) -> None:
        """Take the partition up again after a rebalance gave it back: the store is still a prefix of the log."""
        self.outbox.settle(await self.publisher.claim(self.outbox.settled))
        self._meet_the_catalog()
        log.info("partition.opened", partition=self.partition, next_offset=self.next_offset, rows=self.store.rows.size)

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
        log.info("partition.paused", partition=self.partition, next_offset=self.next_offset)

    async def close(self) -> None:
        """Publish what is dirty, if possible, save a snapshot and let go."""
        try:
            async with asyncio.timeout(_LAST_FLUSH_WITHIN_S):
                await self.flush()
        except (BrokerUnavailable, OwnershipLost, TimeoutError) as error:
            # Nothing is lost: the marks are in the snapshot, and in the log behind it.
            log.warning("flush.left_undone", partition=self.partition, error=repr(error))
        await self.pause()
        await self.snapshot()

    @property
    def next_offset(self) -> int:
        """The first record that is not in the store yet."""
        return self.store.applied_offset + 1

    async def apply(self, record: LogRecord) -> None:
        """Apply one record of the log: skip what the store has, fill a gap from the log first."""
        async with self._applying:
            if self.outbox.is_full:
                await self.flush()
            if self._is_outdated:
                await self._make_anew()
            if record.offset > self.next_offset:
                await self._replay(self.store, record.offset)
            if record.offset == self.next_offset:
                self._apply_next(self.store, record)

    def catalog_changed(self, touched: Touched) -> None:
        """Move and mark what a catalog change touches; new terms leave invoiced periods alone."""
        self._catalog_offset = self.neighbours.catalog.next_offset
        for service, subscription in touched.subscriptions:
            self.store.reassign_subscription(service, subscription)
            self._mark_open(self.store.aggregates.of_subscription(service, subscription))
        if touched.metrics:
            keys = enumerate(self.store.aggregates.keys)
            self._mark_open([n for n, key in keys if {(key.service, key.metric), (None, key.metric)} & touched.metrics])
            self._is_outdated = self.store.is_outdated()

    async def flush(self) -> None:
        """Publish what is dirty now, and refused or stray input; what changes meanwhile is for the next flush."""
        async with self._publishing:
            marked = self.store.aggregates.marked()
            for start in range(0, len(marked), _AGGREGATES_PER_TRANSACTION) or (0,):
                await self._publish(marked[start : start + _AGGREGATES_PER_TRANSACTION])

    async def _publish(self, marked: Sequence[tuple[int, int]]) -> None:
        store, settled = self.store, max(self.outbox.settled, self.next_offset)
        records = self.outbox.records()
        if not marked and not records:
            return
        with metrics.FLUSH_DURATION.time():
            settings = self.neighbours.settings
            numbers = [number for number, _ in marked]
            derivation = derive(store, numbers, self.neighbours.catalog, settings.usage_epoch)
            for topic, derived in ((topics.TOTALS, derivation.totals), (topics.OVERAGE, derivation.overages)):
                name = settings.topic(topic)
                records += [Outgoing(name, each.key.encode(), each.model_dump_json().encode()) for each in derived]
            if records:
                await self.publisher.publish(records, settled)
                self.outbox.settle(settled)
        store.billed.update(derivation.billed)
        for number, mark in marked:
            store.aggregates.unmark(number, mark)
        self.waiting.difference_update(numbers)
        self.waiting.update(derivation.waiting)
        metrics.WAITING.labels(self.partition).set(len(self.waiting))
        metrics.RECORDS_PUBLISHED.labels("totals").inc(len(derivation.totals))
        metrics.RECORDS_PUBLISHED.labels("overage").inc(len(derivation.overages))

    async def snapshot(self) -> None:
        """Save the store if it has moved on; a full disk pauses snapshots, not the role."""
        if self._writing is not None:
            # A write goes on in its thread when its task is cancelled; two must not write one file.
            await asyncio.wait([self._writing])
        self._last_snapshot_at = time.monotonic()
        if self.store.applied_offset == self._snapshot_offset:
            return
        context = snapshots.Context(
            epoch=self.neighbours.settings.usage_epoch,
            catalog_offset=self._catalog_offset,
            settled=self.outbox.settled,
            unpublished=self.outbox.waiting,
        )
        image, offset = snapshots.take(self.store, context), self.store.applied_offset
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, image))
        if await asyncio.shield(self._writing):
            self._snapshot_offset = offset

    def _write(self, image: snapshots.Image) -> bool:
        try:
            with metrics.SNAPSHOT_DURATION.time():
                path = snapshots.write(image, self._directory)
        except OSError as error:
            metrics.SNAPSHOT_FAILURES.inc()
            log.error("snapshot.failed", partition=self.partition, error=str(error))  # noqa: TRY400
            return False
        log.info("snapshot.written", partition=self.partition, path=path.name)
        return True

    @property
    def _directory(self) -> Path:
        settings = self.neighbours.settings
        return settings.meter_data_dir / f"epoch-{settings.usage_epoch}" / f"partition-{self.partition}"

    async def _meet_the_log(self, store: PartitionStore) -> None:
        """Compare a store with what the log still holds; never go on silently over records that are gone."""
        first, end = await self.neighbours.log_reader.bounds(self.partition)
        if store.applied_offset + 1 > end:
            raise ConfigurationError(
                f"partition {self.partition}: the store has applied offset {store.applied_offset}, the usage log"
                f" ends at {end}. Was the topic made anew? Raise FUSION_USAGE_EPOCH"
            )
        if store.applied_offset + 1 < first:
            if store.applied_offset >= 0:
                log.error("log.records_lost", partition=self.partition, applied=store.applied_offset, log_start=first)
            store.applied_offset = first - 1

    def _meet_the_catalog(self) -> None:
        """Catch up with what the catalog has become since the store last followed it."""
        if self._catalog_offset != self.neighbours.catalog.next_offset:
            self._catalog_offset = self.neighbours.catalog.next_offset
            self.store.reassign(range(len(self.store.aggregates)))
            self._mark_open(range(len(self.store.aggregates)))
            self._is_outdated = self.store.is_outdated()

    def _mark_open(self, numbers: Sequence[int]) -> None:
        """Mark aggregates whose period is not invoiced yet."""
        for number in numbers:
            key = self.store.aggregates.keys[number]
            subscription = self.neighbours.catalog.subscription(key.service, key.subscription)
            if subscription is None or not is_invoiced(key.period_end, subscription):
                self.store.aggregates.mark(number)

    async def _make_anew(self) -> None:
        """Make the store anew from the log, up to where it is; what is published stays as it is meanwhile."""
        if not self._is_outdated:
            return
        end = self.next_offset
        log.warning("store.made_anew", partition=self.partition, end=end)
        store = PartitionStore(self.store.seed, self.neighbours.catalog)
        await self._meet_the_log(store)
        await self._replay(store, end)
        async with self._publishing:
            store.billed = self.store.billed
            for number in range(len(store.aggregates)):
                store.aggregates.mark(number)
            self.store, self.waiting, self._snapshot_offset = store, set(), -1
            self._is_outdated = store.is_outdated()

    async def _replay(self, store: PartitionStore, end: int) -> None:
        """Bring a store up to `end` from the log itself; a range of nothing but markers is legal."""
        start = store.applied_offset + 1
        log.info("log.replaying", partition=self.partition, start=start, end=end)
        remaining = metrics.RESTORE_REMAINING.labels(self.partition)
        async with aclosing(self.neighbours.log_reader.read(self.partition, start, end)) as records:
            async for record in records:
                if record.offset > store.applied_offset:
                    self._apply_next(store, record)
                    remaining.set(end - record.offset)
                await asyncio.sleep(0)
        remaining.set(0)
        store.applied_offset = max(store.applied_offset, end - 1)

    def _apply_next(self, store: PartitionStore, record: LogRecord) -> None:
        """Decode, check and apply one record in one step; bad input never stops the partition."""
        neighbours, settings = self.neighbours, self.neighbours.settings
        intake = take_in(record, settings.topic(topics.USAGE), neighbours.partitions, neighbours.catalog)
        applied = store.apply(record.offset, intake.counters)
        outgoing = [Outgoing(settings.topic(topics.USAGE), None, batch, home) for home, batch in intake.strays]
        if intake.rejected is not None:
            value = intake.rejected.model_dump_json().encode()
            outgoing.append(Outgoing(settings.topic(topics.REJECTED), record.key, value))
            for refusal in intake.rejected.refusals:
                metrics.COUNTERS_REJECTED.labels(refusal.reason.value).inc()
        self.outbox.put(record.offset, outgoing)
        metrics.COUNTERS_FORWARDED.inc(intake.stray_count)
        for outcome in ("inserted", "replaced", "duplicates", "superseded"):
            metrics.COUNTERS_APPLIED.labels(outcome).inc(getattr(applied, outcome))
        metrics.COUNTERS_STRADDLING.inc(applied.straddling)
        metrics.APPLIED_OFFSET.labels(self.partition).set(record.offset)

    async def _flush_regularly(self) -> None:
        settings = self.neighbours.settings
        while True:
            await asyncio.sleep(settings.meter_flush_s)
            try:
                if self._is_outdated:
                    async with self._applying:
                        await self._make_anew()
                await self.flush()
                metrics.STORE_ROWS.labels(self.partition).set(self.store.rows.size)
                metrics.STORE_BYTES.labels(self.partition).set(self.store.rows.used_bytes())
            except BrokerUnavailable as error:
                log.warning("flush.postponed", partition=self.partition, error=str(error))
                await asyncio.sleep(error.retry_after_s)
            if time.monotonic() - self._last_snapshot_at >= settings.meter_snapshot_s:
                await self.snapshot()
