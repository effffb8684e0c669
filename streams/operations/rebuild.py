"""Rebuilding stores: their snapshots go aside, and the meter replays the usage log at its next start."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.audit.reading import Books
from streams.data_directory import locked
from streams.store.aside import put_aside
from streams.store.snapshot_check import SnapshotFacts, snapshot_facts


@dataclass(frozen=True, slots=True)
class Plan:
    """What rebuilding one partition means: which snapshots go, and which records [first, end) are replayed instead."""

    partition: int
    directory: Path
    snapshots: tuple[SnapshotFacts, ...]
    first: int
    end: int


@contextmanager
def idle_directory(settings: Settings) -> Iterator[None]:
    """Keep the data directory from every meter inside the block.

    Raises:
        ConfigurationError: one is at work in it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(settings.meter_data_dir, wait_s=0))
        except ConfigurationError as error:
            raise ConfigurationError(f"{settings.meter_data_dir} is in use: stop its meter first") from error
        yield


async def plans(settings: Settings, partitions: Sequence[int] | None) -> list[Plan]:
    """Return the plans for these partitions, or for all that have snapshots here.

    Raises:
        ConfigurationError: there is no such partition.
    """
    books, facts = Books(settings, lambda *_: None), list(snapshot_facts(settings.meter_data_dir, whole=False))
    here = [each for each in facts if each.epoch == settings.usage_epoch and not each.is_aside]
    wanted = {each.partition for each in here} if partitions is None else set(partitions)
    try:
        count = await books.partitions()
        if any(not 0 <= partition < count for partition in wanted):
            raise ConfigurationError(f"the usage topic has {count} partitions, from 0")
        return [
            Plan(
                partition,
                settings.meter_data_dir / f"epoch-{settings.usage_epoch}" / f"partition-{partition}",
                tuple(each for each in here if each.partition == partition),
                *await books.bounds(partition),
            )
            for partition in sorted(wanted)
        ]
    finally:
        await books.close()


def carry_out(made: Sequence[Plan]) -> list[Path]:
    """Put the snapshots aside; the caller holds the directory's lock. Returns where they are now."""
    return [path for plan in made for path in put_aside(plan.directory)]
