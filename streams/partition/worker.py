"""One source partition at work: its store, its fenced publisher, its snapshots.

Order of what happens to a record, each step repeatable after a crash at any point:

1. apply (`log_follower`): rows, aggregates, dirty marks, outbox and applied offset change in one step without await;
2. publish (`flusher`): absolute, versioned values of dirty aggregates and refused or stray input go out in one
   transaction, together with the source offset up to which such input is out;
3. clear (`flusher`): a mark goes only after its acknowledgement, and only if the aggregate was not marked again;
4. snapshot (`snapshot_keeper`): state, marks and whatever is not published yet are saved together.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from schemas.errors import BrokerUnavailable, OwnershipLost
from streams import metrics
from streams.domain.catalog import Touched
from streams.failpoints import failpoint
from streams.kafka_client import FencedPublisher
from streams.partition.catalog_follower import CatalogFollower
from streams.partition.closer import Closer
from streams.partition.flusher import Flusher
from streams.partition.log_follower import LateCounter, LogFollower
from streams.partition.publications import Publications
from streams.partition.snapshot_keeper import SnapshotKeeper
from streams.partition.state import Neighbours, PartitionState
from streams.records import LogRecord
from streams.store.partition_store import PartitionStore

_LAST_FLUSH_WITHIN_S = 10.0
_CANCEL_AGAIN_AFTER_S = 0.5
# Of the time a flush took, so that one which takes longer than its interval leaves room for other work.
_PAUSE_SHARE = 0.25

log = structlog.get_logger()


class PartitionWorker:
    """Owns a partition from `open` to `close`; all methods run on one event loop."""

    def __init__(self, partition: int, neighbours: Neighbours, publisher: FencedPublisher) -> None:
        self.partition = partition
        self.state = PartitionState(partition)
        self.log_follower = LogFollower(self.state, neighbours)
        self._neighbours = neighbours
        self._publisher = publisher
        self._catalog_follower = CatalogFollower(self.state, neighbours, self.log_follower)
        self._publications = Publications(self.state, neighbours)
        self._flusher = Flusher(self.state, neighbours, publisher, self._publications)
        self._closer = Closer(self.state, neighbours)
        self._snapshots = SnapshotKeeper(self.state, neighbours)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def store(self) -> PartitionStore:
        """The store of now; a store that is made anew takes its place."""
        return self.state.store

    @property
    def next_offset(self) -> int:
        """The first record that is not in the store yet."""
        return self.state.next_offset

    async def open(self) -> None:
        """Start from the newest snapshot, or from the oldest record there is, then shut out a former owner."""
        if not await self._snapshots.restore():
            self.state.store = PartitionStore(secrets.randbits(64), self._neighbours.catalog)
        failpoint("open.loaded")
        self._publications.is_short = not await self.log_follower.meet_the_log(self.store)
        await self.reopen()

    async def reopen(self) -> None:
        """Take the partition up again after a rebalance gave it back: the store is still a prefix of the log."""
        outbox = self.state.outbox
        outbox.settle(await self._publisher.claim(outbox.settled))
        self._publications.doubt()
        self._catalog_follower.catch_up()
        log.info("partition.opened", partition=self.partition, next_offset=self.next_offset, rows=self.store.rows.size)

    def start(self, supervised: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]) -> None:
        """Start publishing and snapshots, as tasks made by `supervised`; neither waits for the other."""
        self._tasks = [
            supervised(self._flush_regularly(), f"flush-{self.partition}"),
            supervised(self._save_regularly(), f"snapshot-{self.partition}"),
        ]

    async def pause(self) -> None:
        """Stop publishing and give up the transactional id; the store stays in memory."""
        tasks, self._tasks = self._tasks, []
        while tasks:
            for task in tasks:
                task.cancel()
            # Once may not be enough: a cancellation that meets aiokafka closing a consumer is swallowed there.
            _, pending = await asyncio.wait(tasks, timeout=_CANCEL_AGAIN_AFTER_S)
            tasks = list(pending)
        await self._publisher.close()
        log.info("partition.paused", partition=self.partition, next_offset=self.next_offset)

    async def close(self) -> None:
        """Publish what is dirty, if possible, save a snapshot and let go."""
        try:
            async with asyncio.timeout(_LAST_FLUSH_WITHIN_S):
                await self.flush()
        except (BrokerUnavailable, OwnershipLost, TimeoutError) as error:
            # Nothing is lost: the marks are in the snapshot, and in the log behind it.
            log.warning("flush.left_undone", partition=self.partition, error=repr(error))
        failpoint("close.flushed")
        await self.pause()
        failpoint("close.paused")
        await self.snapshot()

    async def apply(self, *records: LogRecord) -> None:
        """Apply records in the log's order: skip what the store has, fill a gap from the log first."""
        async with self.state.applying:
            if self.state.outbox.is_full:
                await self.flush()
            await self._make_anew()
            try:
                await self.log_follower.apply(records)
            except LateCounter:
                self.state.is_outdated = True
                await self._make_anew("late_counter")
                self._closer.postpone()
                await self.log_follower.apply(records)

    def catalog_changed(self, touched: Touched) -> None:
        """Move and mark what a catalog change touches; new terms leave invoiced periods alone."""
        self._catalog_follower.changed(touched)

    async def flush(self) -> None:
        """Publish what is dirty now, and refused or stray input."""
        await self._flusher.flush()

    async def catch_up(self) -> None:
        """Publish what is due now; a store that the catalog has outdated is made anew first."""
        if self.state.is_outdated:
            async with self.state.applying:
                await self._make_anew()
        await self.flush()

    async def snapshot(self) -> None:
        """Save the store if it has moved on; a full disk pauses snapshots, not the role."""
        await self._snapshots.save()

    async def close_periods(self) -> int:
        """Drop the rows of closed periods, if it is time and worth it; return how many."""
        async with self.state.applying:
            dropped = await self._closer.close_periods()
        if dropped:
            self._snapshots.forget()
        return dropped

    async def _make_anew(self, reason: str = "catalog") -> None:
        if await self._catalog_follower.make_anew(reason):
            self._snapshots.forget()

    async def _flush_regularly(self) -> None:
        interval_s, partitions = self._neighbours.settings.meter_flush_s, self._neighbours.partitions
        # Partitions take turns within the interval: all at once they would only wait for each other.
        await asyncio.sleep(interval_s * (self.partition + 1) / partitions)
        while True:
            began_at = time.monotonic()
            try:
                await self.catch_up()
                metrics.STORE_ROWS.labels(self.partition).set(self.store.rows.size)
                metrics.STORE_BYTES.labels(self.partition).set(self.store.used_bytes())
            except BrokerUnavailable as error:
                log.warning("flush.postponed", partition=self.partition, error=str(error))
                await asyncio.sleep(error.retry_after_s)
            await asyncio.sleep(pause_s(interval_s, time.monotonic() - began_at))

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._snapshots.due_in_s)
            await self.close_periods()
            await self.snapshot()


def pause_s(interval_s: float, took_s: float) -> float:
    """Return how long to wait after a flush: flushes begin an interval apart, whatever they take.

    A change that just misses a flush waits for one interval, not for an interval and a flush, until its own begins.
    """
    return max(interval_s - took_s, took_s * _PAUSE_SHARE)
