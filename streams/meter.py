"""The meter: the catalog in memory and one worker per assigned partition, whatever framework feeds it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import structlog

from schemas import topics
from schemas.errors import BrokerUnavailable, ConfigurationError, OwnershipLost
from schemas.settings import Settings
from streams import memory_budget
from streams.audit.beside import ContinuousAudit
from streams.domain.catalog import CatalogView, Touched
from streams.failpoints import failpoint
from streams.kafka_client import FencedPublisher, LogReader, TopicsReader, partition_counts
from streams.partition.log_follower import runs
from streams.partition.state import Neighbours
from streams.partition.worker import PartitionWorker
from streams.records import LogRecord
from streams.store.partition_store import PartitionStore
from streams.warm_up import warm_up

# So long a broker may be away while we start or take up a partition; then a restart is the better way.
_PATIENCE_S = 120.0
_USED = (topics.USAGE, topics.CATALOG, topics.TOTALS, topics.OVERAGE, topics.REJECTED, topics.EVENTS)

log = structlog.get_logger()

_Result = TypeVar("_Result")


class Meter:
    """Deduplicates, aggregates and rates the partitions it is given.

    Call `start` once, then `assign` and `revoke` as the group decides, `apply` for records in partition order, and
    `stop`. `on_failure` is called with an error that no retry mends; the process must end then, as a restart from
    snapshot and log is the only safe way on.
    """

    def __init__(self, settings: Settings, on_failure: Callable[[BaseException], None]) -> None:
        self._settings = settings
        self._on_failure = on_failure
        self._catalog = CatalogView()
        self._catalog_log = LogReader(settings, settings.topic(topics.CATALOG))
        self._usage_log = LogReader(settings, settings.topic(topics.USAGE))
        self._neighbours: Neighbours | None = None
        self._workers: dict[int, PartitionWorker] = {}
        self._idle: dict[int, PartitionWorker] = {}
        self._tail: asyncio.Task[None] | None = None
        self._audit: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._opened = asyncio.Condition()

    @property
    def is_ready(self) -> bool:
        """Tell whether the catalog has been read and partitions are at work."""
        return self._neighbours is not None and bool(self._workers)

    async def start(self) -> None:
        """Read the catalog to its end, before anything is rated, and follow it from there."""
        partitions = await self._partitions()
        await asyncio.gather(_patiently(self._read_catalog), asyncio.to_thread(warm_up))
        self._neighbours = Neighbours(
            self._settings, self._catalog, self._usage_log, TopicsReader(self._settings), partitions
        )
        self._tail = self._supervised(self._follow_catalog(), "catalog")
        if self._settings.meter_audit_s:
            audit = ContinuousAudit(self._settings, partitions, self._catalog, self._stores)
            self._audit = self._supervised(audit.run(), "audit")
        self._watch = self._supervised(memory_budget.watch(self._settings.meter_memory_budget_mib << 20), "memory")
        log.info("catalog.read", next_offset=self._catalog.next_offset, partitions=partitions)

    async def assign(self, partitions: Iterable[int]) -> None:
        """Take up these partitions: from memory where the store is still there, else from snapshot and log.

        All at once: reading a snapshot leaves the interpreter free, and claiming a partition is waiting for the broker.
        """
        async with self._changing:
            wanted = sorted(set(partitions) - self._workers.keys())
            log.info("partitions.assigned", partitions=wanted)
            # Each to its end, whatever becomes of the others: none may go on behind the lock's back.
            ends = await asyncio.gather(*map(self._take_up, wanted), return_exceptions=True)
            for error in filter(None, ends):
                raise error
            for partition in sorted(self._idle):
                await self._idle.pop(partition).snapshot()

    async def revoke(self, partitions: Iterable[int]) -> None:
        """Stop work on these partitions; the stores stay in memory until the next assignment decides."""
        async with self._changing:
            for partition in sorted(set(partitions) & self._workers.keys()):
                worker = self._workers.pop(partition)
                await worker.pause()
                self._idle[partition] = worker

    async def apply(self, partition: int, records: Sequence[LogRecord]) -> bool:
        """Apply records of one partition in their order; false once it is not ours: the rest is someone else's."""
        for run in runs(records):
            if not await self._apply_run(partition, run):
                return False
            # A fetch may hold a second's work; publishing, snapshots and rebalances must not wait for that.
            await asyncio.sleep(0)
        failpoint("fetch.applied")
        return True

    async def _apply_run(self, partition: int, records: Sequence[LogRecord]) -> bool:
        while (worker := self._workers.get(partition)) is not None:
            try:
                await worker.apply(*records)
            except BrokerUnavailable as error:
                # Filling a gap, or emptying a full outbox, needs the broker; the records stay ours until that works.
                log.warning("apply.postponed", partition=partition, error=str(error))
                await asyncio.sleep(error.retry_after_s)
            except Exception as error:
                self._on_failure(error)
                raise
            else:
                return True
        return False

    async def next_offset(self, partition: int) -> int:
        """Return the first record of a partition that its store has not applied, once the store is open.

        Whoever feeds the meter may ask before `assign` has opened the store; the answer waits for it.
        """
        async with self._opened:
            await self._opened.wait_for(lambda: partition in self._workers)
        return self._workers[partition].next_offset

    def applied_end(self, partition: int) -> int | None:
        """Return the first record of a partition that its store has not applied; null if it is not at work here."""
        worker = self._workers.get(partition)
        return None if worker is None else worker.next_offset

    def fail(self, error: BaseException) -> None:
        """End the process because of an error in whatever feeds the meter: only a restart is a safe way on."""
        self._on_failure(error)

    async def stop(self) -> None:
        """Publish what is dirty, save snapshots and end."""
        async with self._changing:
            for task in (self._tail, self._audit, self._watch):
                if task is not None:
                    task.cancel()
            for worker in self._workers.values():
                await worker.close()
            for worker in self._idle.values():
                await worker.snapshot()
            self._workers.clear()
            self._idle.clear()
            await self._catalog_log.close()
            await self._usage_log.close()

    async def _take_up(self, partition: int) -> None:
        worker = self._idle.pop(partition, None)
        if worker is None:
            worker = self._worker(partition)
            await _patiently(worker.open)
        else:
            await _patiently(worker.reopen)
        worker.start(self._supervised)
        self._workers[partition] = worker
        async with self._opened:
            self._opened.notify_all()

    def _stores(self) -> dict[int, PartitionStore]:
        return {partition: worker.store for partition, worker in self._workers.items()}

    def _worker(self, partition: int) -> PartitionWorker:
        if self._neighbours is None:
            raise OwnershipLost("the meter has not read its catalog yet")
        return PartitionWorker(partition, self._neighbours, FencedPublisher(self._settings, partition))

    async def _partitions(self) -> int:
        """Return how many partitions the usage topic has, once all topics that the meter uses are there."""
        counts = await _patiently(lambda: partition_counts(self._settings))
        if missing := [name for name in map(self._settings.topic, _USED) if not counts.get(name)]:
            raise ConfigurationError(f"no topic {', '.join(missing)}: run `fusion-billing topics apply` first")
        return counts[self._settings.topic(topics.USAGE)]

    async def _read_catalog(self) -> None:
        first, end = await self._catalog_log.bounds(0)
        async with aclosing(self._catalog_log.read(0, max(first, self._catalog.next_offset), end)) as records:
            async for record in records:
                self._update_catalog(record)
        self._catalog.next_offset = end

    async def _follow_catalog(self) -> None:
        while True:
            try:
                async with aclosing(self._catalog_log.follow(0, self._catalog.next_offset)) as records:
                    async for record in records:
                        touched = self._update_catalog(record)
                        for worker in (*self._workers.values(), *self._idle.values()):
                            worker.catalog_changed(touched)
            except BrokerUnavailable as error:
                log.warning("catalog.reading_postponed", error=str(error))
                await asyncio.sleep(error.retry_after_s)

    def _update_catalog(self, record: LogRecord) -> Touched:
        return self._catalog.update((record.key or b"").decode(errors="replace"), record.value, record.offset)

    def _supervised(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a background task whose failure is never only logged."""

        def done(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._on_failure(error)

        task = asyncio.create_task(work, name=name)
        task.add_done_callback(done)
        return task


async def _patiently(work: Callable[[], Awaitable[_Result]]) -> _Result:
    """Return the result of `work`, tried again while the broker is away, within bounds."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await work()
        except BrokerUnavailable as error:
            if time.monotonic() > deadline:
                raise
            log.warning("broker.awaited", error=str(error))
            await asyncio.sleep(error.retry_after_s)
