"""Reading several topics from known positions to where they end now: what has been published of derived records."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.errors import BrokerUnavailable
from schemas.settings import Settings
from streams.kafka_client.connection import RETRY_AFTER_S, connection_options, translated
from streams.records import Outgoing, Positions

_POLL_MS = 200
_ANSWER_WITHIN_S = 30.0
# Somebody's open transaction holds readers back until it is finished, aborted by a successor, or timed out.
_PROGRESS_WITHIN_S = 60.0


class TopicsReader:
    """Reads all partitions of some topics; nothing is kept open in between."""

    def __init__(self, settings: Settings) -> None:
        self._options = {**connection_options(settings), "enable_auto_commit": False}

    async def ends(self, topics: Sequence[str]) -> Positions:
        """Return the ends of all partitions, open transactions included. The topics must exist."""
        with translated():
            async with (
                asyncio.timeout(_ANSWER_WITHIN_S),
                AIOKafkaConsumer(*topics, **self._options, auto_offset_reset="latest") as consumer,
            ):
                places = [
                    TopicPartition(topic, partition)
                    for topic in topics
                    for partition in consumer.partitions_for_topic(topic) or ()
                ]
                return _positions(await consumer.end_offsets(places)) if places else {}

    async def read(self, start: Mapping[tuple[str, int], int], ends: Positions) -> AsyncGenerator[Outgoing, None]:
        """Yield the committed records from `start` (where it says nothing: from the oldest) up to `ends`.

        Tombstones are passed over. Iterate to the end or close the iterator.
        """
        with translated():
            options = {**self._options, "isolation_level": "read_committed", "auto_offset_reset": "earliest"}
            async with AIOKafkaConsumer(**options) as consumer:
                unread = await _seek(consumer, start, ends)
                heard_at = time.monotonic()
                while unread:
                    for place, records in (await consumer.getmany(*unread, timeout_ms=_POLL_MS)).items():
                        heard_at = time.monotonic()
                        end = unread[place]
                        for record in records:
                            if record.offset < end and record.value is not None:
                                yield Outgoing(place.topic, record.key, record.value, place.partition)
                    for place in [place for place, end in unread.items() if await consumer.position(place) >= end]:
                        del unread[place]
                    if time.monotonic() - heard_at > _PROGRESS_WITHIN_S:
                        raise BrokerUnavailable("Kafka: derived topics cannot be read to their end", RETRY_AFTER_S)


async def _seek(
    consumer: AIOKafkaConsumer, start: Mapping[tuple[str, int], int], ends: Positions
) -> dict[TopicPartition, int]:
    """Set the consumer to where reading begins, and return the partitions that have anything to read, with ends."""
    places = [TopicPartition(*place) for place in ends]
    first = _positions(await consumer.beginning_offsets(places)) if places else {}
    begin = {place: _begin(first[place], start.get(place, 0), end) for place, end in ends.items()}
    unread = {TopicPartition(*place): end for place, end in ends.items() if begin[place] < end}
    consumer.assign(list(unread))
    for place in unread:
        consumer.seek(place, begin[place.topic, place.partition])
    return unread


def _begin(first: int, known: int, end: int) -> int:
    """Return where to begin; a position behind the end is that of a topic which has been made anew since."""
    return max(first, known) if known <= end else first


def _positions(offsets: Mapping[TopicPartition, int]) -> Positions:
    return {(place.topic, place.partition): offset for place, offset in offsets.items()}
