"""What an audit and a trace read of Kafka: the catalog, a partition's log, what groups have committed."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from schemas import topics
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.audit.topics import Progress
from streams.domain.catalog import CatalogView
from streams.kafka_client import LogReader
from streams.kafka_client.groups import committed
from streams.partition.log_follower import runs
from streams.records import LogRecord


@dataclass(slots=True)
class Books:
    """The logs behind what is published. `catalog` is as far as `read_catalog` has brought it."""

    settings: Settings
    progress: Progress
    catalog: CatalogView = field(default_factory=CatalogView)
    _readers: dict[str, LogReader] = field(default_factory=dict)

    async def read_catalog(self, end: int | None = None) -> None:
        """Bring the catalog up to an offset, or to what is its topic's end now."""
        reader = self.reader(topics.CATALOG)
        first, log_end = await reader.bounds(0)
        end = log_end if end is None else min(end, log_end)
        async with aclosing(reader.read(0, max(first, self.catalog.next_offset), end)) as records:
            async for record in records:
                self.catalog.update((record.key or b"").decode(errors="replace"), record.value, record.offset)
        self.catalog.next_offset = end

    async def partitions(self) -> int:
        """Return how many partitions the usage topic has.

        Raises:
            ConfigurationError: it does not exist.
        """
        partitions = await self.reader(topics.USAGE).partitions()
        if not partitions:
            name = self.settings.topic(topics.USAGE)
            raise ConfigurationError(f"topic {name} does not exist: run `fusion-billing topics apply` first")
        return partitions

    async def bounds(self, partition: int) -> tuple[int, int]:
        """Return first offset and end of a partition of the usage log."""
        return await self.reader(topics.USAGE).bounds(partition)

    async def usage(self, partition: int, start: int, end: int) -> AsyncGenerator[Sequence[LogRecord], None]:
        """Yield the records [start, end) of a partition of the usage log, in runs of a few milliseconds' work."""
        async with aclosing(self.reader(topics.USAGE).fetches(partition, start, end)) as fetches:
            async for fetched in fetches:
                for run in runs(fetched):
                    yield run
                    self.progress(f"usage.v1, partition {partition}", run[-1].offset + 1 - start, end - start)

    async def published_up_to(self) -> dict[int, int]:
        """Return by partition the source offset below which the meter has published everything, as its claims say."""
        settings = self.settings
        group = f"{settings.topic_prefix}meter-outbox-{settings.usage_epoch}"
        return await committed(settings, group, settings.topic(topics.USAGE))

    async def written_up_to(self) -> dict[int, int]:
        """Return by partition of the overage topic what the Odoo sink has dealt with."""
        settings = self.settings
        return await committed(settings, f"{settings.topic_prefix}odoo-sink", settings.topic(topics.OVERAGE))

    def reader(self, topic: topics.Topic) -> LogReader:
        """Return the one reader of a topic; `close` lets go of it."""
        return self._readers.setdefault(topic.name, LogReader(self.settings, self.settings.topic(topic)))

    async def close(self) -> None:
        """Let go of all connections."""
        await asyncio.gather(*(reader.close() for reader in self._readers.values()))
