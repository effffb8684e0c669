"""Finds what waits for the catalog by replaying the log, one partition after the other."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing

from schemas.settings import Settings
from streams.audit.reading import Books
from streams.audit.replay import Place, Replay
from streams.audit.topics import Progress
from streams.operations.waiting import Waiting, waiting
from streams.store.partition_store import PartitionStore


async def all_waiting(settings: Settings, progress: Progress) -> AsyncGenerator[Waiting, None]:
    """Yield what waits in every partition; exact as of the log's end at the start of each."""
    books = Books(settings, progress)
    try:
        await books.read_catalog()
        partitions = await books.partitions()
        for partition in range(partitions):
            first, end = await books.bounds(partition)
            store = PartitionStore(secrets.randbits(64), books.catalog)
            replay = Replay(Place(partition, partitions, settings.usage_epoch), store, books.catalog)
            async with aclosing(books.usage(partition, first, end)) as runs:
                async for run in runs:
                    replay.feed(run)
            for each in waiting(replay):
                yield each
    finally:
        await books.close()
