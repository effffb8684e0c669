"""Which topics there are, and how many partitions each has."""

import asyncio

from aiokafka import AIOKafkaConsumer

from schemas.settings import Settings
from streams.kafka_client.connection import connection_options, translated

_ANSWER_WITHIN_S = 30.0


async def partition_counts(settings: Settings) -> dict[str, int]:
    """Return the number of partitions of each topic that we may see.

    Asks for all of them: a client that asks for one waits for it without end, or has the broker make it.
    """
    with translated():
        async with asyncio.timeout(_ANSWER_WITHIN_S), AIOKafkaConsumer(**connection_options(settings)) as consumer:
            cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001 -- topics() has no counts
            return {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in cluster.topics()}
