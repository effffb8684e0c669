"""The continuous audit's own process: reads images on standard input, replays the log for each, writes comparisons.

It takes at most its share of one core, the smaller the nicer, and ends when its meter has gone.
"""

import asyncio
import os
import secrets
import sys
import time
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
import structlog

from schemas.settings import Settings, load
from streams.audit.live_image import LENGTH_BYTES, Comparison, Image, compare, framed
from streams.audit.reading import Books
from streams.audit.replay import Place, Replay
from streams.store import compiled
from streams.store.partition_store import PartitionStore

_NICENESS_MAX = 19
_LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class Budget:
    """A share of one core: whoever has used more waits."""

    share: float
    _began_s: float = field(default_factory=time.monotonic)
    _used_s: float = field(default_factory=time.process_time)

    def owed_s(self) -> float:
        """Return how long to wait before going on."""
        busy_s = time.process_time() - self._used_s
        return max(0.0, busy_s / self.share - (time.monotonic() - self._began_s))


async def audit(image: Image, settings: Settings) -> Comparison:
    """Replay what the image covers and compare."""
    books = Books(settings, lambda *_: None)
    try:
        await books.read_catalog(image.catalog_offset)
        first, _ = await books.bounds(image.partition)
        store = PartitionStore(secrets.randbits(64), books.catalog)
        place = Place(image.partition, image.partitions, settings.usage_epoch)
        replay, budget = Replay(place, store, books.catalog), Budget(settings.meter_audit_share)
        async with aclosing(books.usage(image.partition, first, image.applied_offset + 1)) as runs:
            async for run in runs:
                replay.feed(run)
                await asyncio.sleep(budget.owed_s())
    finally:
        await books.close()
    return compare(image, store.aggregates, None if first == 0 else (replay.starts_at_ms or 0) * 1000)


async def _audit_while_wanted(image: Image, settings: Settings, parent: int) -> Comparison:
    async def watch() -> None:
        while os.getppid() == parent:  # noqa: ASYNC110 -- no event tells of a parent's end
            await asyncio.sleep(_LOOK_EVERY_S)
        os._exit(1)

    watching = asyncio.create_task(watch())
    try:
        return await audit(image, settings)
    finally:
        watching.cancel()


def main() -> None:
    """Answer the images on standard input, one after the other, each with its length before it."""
    parent, settings = os.getppid(), load()
    compiled.keep_in(settings.meter_data_dir)
    os.nice(round(_NICENESS_MAX * (1 - settings.meter_audit_share)))
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    while length := sys.stdin.buffer.read(LENGTH_BYTES):
        image = msgspec.msgpack.decode(sys.stdin.buffer.read(int.from_bytes(length)), type=Image)
        sys.stdout.buffer.write(framed(asyncio.run(_audit_while_wanted(image, settings, parent))))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
