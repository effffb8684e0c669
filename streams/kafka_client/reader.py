"""Reading one topic without a group: its bounds, ranges of it, and following it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.errors import BrokerUnavailable
from schemas.settings import Settings
from streams.kafka_client.connection import connection_options, translated
from streams.kafka_client.topic_list import partition_counts
from streams.records import LogRecord

_POLL_MS = 200
_ANSWER_WITHIN_S = 30.0
_STOP_WITHIN_S = 1.0


class LogReader:
    """Reads committed records of one topic. Ranges share one connection and so are read one after the other."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._options = {
            **connection_options(settings),
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
        }
        self._shared: AIOKafkaConsumer | None = None
        self._turn = asyncio.Lock()

    async def partitions(self) -> int:
        """Return how many partitions the topic has; none if it does not exist."""
        return (await partition_counts(self._settings)).get(self._topic, 0)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset that is still there and the one after the last."""
        place = TopicPartition(self._topic, partition)
        async with self._turn, self._connected() as consumer, asyncio.timeout(_ANSWER_WITHIN_S):
            first = await consumer.beginning_offsets([place])
            end = await consumer.end_offsets([place])
            return first[place], end[place]

    async def read(self, partition: int, start: int, end: int) -> AsyncGenerator[LogRecord, None]:
        """Yield the records of [start, end); iterate to the end or close the iterator."""
        async with contextlib.aclosing(self.fetches(partition, start, end)) as fetches:
            async for records in fetches:
                for record in records:
                    yield record

    async def fetches(self, partition: int, start: int, end: int) -> AsyncGenerator[list[LogRecord], None]:
        """Yield the records of [start, end) as they come, many at a time; iterate to the end or close the iterator.

        Offsets may be missing: transaction markers and aborted records occupy some. A range that holds nothing
        but those ends as well, since the reader's position is what is compared, not the last record's offset.
        """
        place = TopicPartition(self._topic, partition)
        async with self._turn, self._connected() as consumer:
            consumer.assign([place])
            consumer.seek(place, start)
            while await consumer.position(place) < end:
                fetched = (await consumer.getmany(timeout_ms=_POLL_MS)).get(place, ())
                yield [
                    LogRecord(partition, each.offset, each.key, each.value, each.timestamp)
                    for each in fetched
                    if each.offset < end
                ]

    async def follow(self, partition: int, start: int) -> AsyncGenerator[LogRecord, None]:
        """Yield the records from `start` on, for ever, on a connection of its own."""
        place = TopicPartition(self._topic, partition)
        with translated():
            async with AIOKafkaConsumer(**self._options) as consumer:
                consumer.assign([place])
                consumer.seek(place, start)
                while True:
                    for record in (await consumer.getmany(timeout_ms=_POLL_MS)).get(place, ()):
                        yield LogRecord(partition, record.offset, record.key, record.value)

    async def close(self) -> None:
        """Let go of the shared connection; the next use makes a new one."""
        consumer, self._shared = self._shared, None
        if consumer is not None:
            with contextlib.suppress(BrokerUnavailable), translated():
                # The client may wait for its own fetching for ever; a second cancellation, the timeout's, ends that.
                async with asyncio.timeout(_STOP_WITHIN_S):
                    await consumer.stop()

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[AIOKafkaConsumer]:
        """Yield the shared consumer; after a failure it is not trusted any more."""
        try:
            with translated():
                if self._shared is None:
                    consumer = AIOKafkaConsumer(**self._options)
                    try:
                        await consumer.start()
                    except BaseException:
                        await consumer.stop()
                        raise
                    self._shared = consumer
                yield self._shared
        except BrokerUnavailable:
            await self.close()
            raise
