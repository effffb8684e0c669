"""Snapshots of one partition: when to take them, where they lie, and what to do about a full disk."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from streams import metrics
from streams.failpoints import failpoint
from streams.partition.outbox import Outbox
from streams.partition.state import Neighbours, PartitionState
from streams.store import snapshots

log = structlog.get_logger()


@dataclass(slots=True)
class SnapshotKeeper:
    """Saves a partition's state and brings it back."""

    state: PartitionState
    neighbours: Neighbours
    _writing: asyncio.Future[bool] | None = None
    _saved_at: float = 0.0
    _saved_offset: int = -1

    async def restore(self) -> bool:
        """Bring back the newest usable snapshot's state; false if there is none."""
        self._saved_at = time.monotonic()
        settings, state = self.neighbours.settings, self.state
        loaded = await asyncio.to_thread(
            snapshots.load_newest, self._directory, settings.usage_epoch, self.neighbours.catalog
        )
        if loaded is None:
            return False
        state.store, context = loaded
        state.outbox = Outbox.load(context.settled, context.unpublished)
        state.catalog_offset = context.catalog_offset
        state.late = dict(context.late)
        state.past_offset = state.store.applied_offset
        state.positions = {(topic, partition): offset for topic, partition, offset in context.positions}
        self._saved_offset = state.store.applied_offset
        log.info("snapshot.read", partition=state.partition, rows=state.store.rows.size)
        return True

    @property
    def due_in_s(self) -> float:
        """Seconds until the last snapshot is old enough for another."""
        return max(0.0, self._saved_at + self.neighbours.settings.meter_snapshot_s - time.monotonic())

    def forget(self) -> None:
        """The store is another one now: whatever its offset, it is not saved yet."""
        self._saved_offset = -1

    async def save(self) -> None:
        """Save the state if it has moved on; a full disk pauses snapshots, not the role.

        One partition at a time: a copy of the columns takes as much memory again.
        """
        async with self.neighbours.saving:
            await self._save()

    async def _save(self) -> None:
        if self._writing is not None:
            # A write goes on in its thread when its task is cancelled; two must not write one file.
            await asyncio.wait([self._writing])
        self._saved_at = time.monotonic()
        state = self.state
        if state.store.applied_offset == self._saved_offset:
            return
        context = snapshots.Context(
            epoch=self.neighbours.settings.usage_epoch,
            catalog_offset=state.catalog_offset,
            settled=state.outbox.settled,
            unpublished=state.outbox.waiting,
            late=tuple(state.late.items()),
            positions=tuple((*place, offset) for place, offset in state.positions.items()),
        )
        image, offset = snapshots.take(state.store, context), state.store.applied_offset
        failpoint("snapshot.copied")
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, image))
        if await asyncio.shield(self._writing):
            self._saved_offset = offset

    def _write(self, image: snapshots.Image) -> bool:
        try:
            with metrics.SNAPSHOT_DURATION.time():
                path = snapshots.write(image, self._directory)
        except OSError as error:
            metrics.SNAPSHOT_FAILURES.inc()
            log.error("snapshot.failed", partition=self.state.partition, error=str(error))  # noqa: TRY400
            return False
        log.info("snapshot.written", partition=self.state.partition, path=path.name)
        return True

    @property
    def _directory(self) -> Path:
        settings = self.neighbours.settings
        return settings.meter_data_dir / f"epoch-{settings.usage_epoch}" / f"partition-{self.state.partition}"
