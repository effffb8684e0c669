"""What consumer groups have committed, seen from outside."""

import asyncio
import contextlib

from aiokafka.admin import AIOKafkaAdminClient

from schemas.errors import BrokerUnavailable
from schemas.settings import Settings
from streams.kafka_client.connection import connection_options, translated

_ANSWER_WITHIN_S = 20.0


async def committed(settings: Settings, group: str, topic: str) -> dict[int, int]:
    """Return the offsets that a group has committed on a topic, by partition; none for a group nobody knows."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    try:
        with translated():
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await admin.start()
                found = await admin.list_consumer_group_offsets(group)
    finally:
        with contextlib.suppress(BrokerUnavailable), translated():
            await admin.close()
    return {place.partition: each.offset for place, each in found.items() if place.topic == topic and each.offset >= 0}
