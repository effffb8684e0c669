"""Planted bugs: each breaks one rule that nothing may be lost or doubled rests on.

They live here and not in the meter: a process of the fault tests is patched before it starts. A patch names what it
replaces, so that a change of the meter breaks it loudly.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def plant(name: str) -> None:
    """Patch this process."""
    MUTANTS[name]()


def _acknowledge_before_apply() -> None:
    """Records are noted as applied when they arrive; they are applied at the next turn of the loop."""
    from streams.partition.log_follower import LogFollower  # noqa: PLC0415 -- the meter is imported in its own process only

    async def apply(self: Any, records: Any) -> None:
        store = self.state.store
        new = [record for record in records if record.offset > store.applied_offset]
        if new:
            await self.replay(store, new[0].offset)
            store.applied_offset = new[-1].offset
            await asyncio.sleep(_TURN_S)
            self.apply_run(store, new)

    _replace(LogFollower, "apply", apply)


def _clear_before_acknowledgement() -> None:
    """Dirty marks go when their records are on their way, not when they have arrived."""
    from streams.partition.flusher import Flusher  # noqa: PLC0415

    original = Flusher._publish

    async def publish(self: Any, marked: Any) -> None:
        for number, mark in marked:
            self.state.store.aggregates.unmark(number, mark)
        await original(self, marked)

    _replace(Flusher, "_publish", publish)


def _snapshot_with_next_offset() -> None:
    """A snapshot says that it holds one record more than it does."""
    from streams.store import snapshots  # noqa: PLC0415

    original = snapshots.take

    def take(store: Any, context: Any) -> Any:
        image = original(store, context)
        image.header.applied_offset += 1
        return image

    _replace(snapshots, "take", take)


def _no_gap_check() -> None:
    """Records that the framework has skipped are taken for empty offsets."""
    from streams.partition.log_follower import LogFollower  # noqa: PLC0415

    async def replay(_self: Any, store: Any, end: int) -> None:
        store.applied_offset = end - 1

    _replace(LogFollower, "replay", replay)


def _no_fencing() -> None:
    """Each worker has a transactional id of its own, nobody asks who owns the partition, and what is begun is sent."""
    from streams.kafka_client.publisher import FencedPublisher  # noqa: PLC0415
    from streams.partition.worker import PartitionWorker  # noqa: PLC0415

    original, original_pause = FencedPublisher.__init__, PartitionWorker.pause

    def init(self: Any, settings: Any, partition: int) -> None:
        original(self, settings, partition)
        self._options["transactional_id"] += settings.meter_worker_id

    async def check_owner(_self: Any) -> int:
        return 0

    async def pause(self: Any) -> None:
        async with self.state.publishing:
            pass
        await original_pause(self)

    _replace(PartitionWorker, "pause", pause)
    _replace(FencedPublisher, "__init__", init)
    _replace(FencedPublisher, "_check_owner", check_owner)


def _replacement_adds() -> None:
    """A corrected counter counts beside its earlier value."""
    from streams.store.partition_store import PartitionStore  # noqa: PLC0415

    original = PartitionStore._upsert

    def upsert(self: Any, prepared: Any) -> Any:
        batch = prepared.batch._replace(low=prepared.batch.low ^ prepared.batch.quantity.astype("u8"))
        return original(self, dataclasses.replace(prepared, batch=batch))

    _replace(PartitionStore, "_upsert", upsert)


def _replace(owner: Any, name: str, mutated: Callable[..., Any]) -> None:
    if not hasattr(owner, name):
        raise AttributeError(f"{owner} has no {name} any more: this mutant has to follow the meter")
    setattr(owner, name, mutated)


# Long beside what else the loop does, so that a snapshot that is taken at any moment falls into it.
_TURN_S = 0.05
MUTANTS: dict[str, Callable[[], None]] = {
    "acknowledge before apply": _acknowledge_before_apply,
    "clear before acknowledgement": _clear_before_acknowledgement,
    "snapshot with the next offset": _snapshot_with_next_offset,
    "no gap check": _no_gap_check,
    "no fencing": _no_fencing,
    "replacement adds": _replacement_adds,
}
