"""`deliveries.v1` as its dispatcher sees it: read from the beginning on assignment, written in small batches."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from schemas.errors import BrokerUnavailable
from schemas.events import Delivery
from schemas.settings import Settings
from schemas.topics import DELIVERIES
from sinks import metrics
from sinks.backoff import wait_s
from sinks.kafka_client import GroupConsumer, Outgoing, Publisher, Record
from sinks.webhooks.book import key_of
from sinks.webhooks.fanout import endpoint_partition

_RECORDS_MAX = 500
_WRITES_MAX = 500


@dataclass(frozen=True, slots=True)
class Turn:
    """What one poll brought, to be taken in this order: revoked, records, complete.

    `complete` are the partitions read up to the end they had when they were assigned.
    """

    revoked: frozenset[int]
    records: Sequence[Record]
    complete: frozenset[int]


class JournalReader:
    """Owns a share of the partitions. It commits nothing, so each assignment starts at the partition's beginning."""

    def __init__(self, settings: Settings) -> None:
        group = f"{settings.topic_prefix}webhook-dispatcher"
        self._consumer = GroupConsumer(settings, settings.topic(DELIVERIES), group, _RECORDS_MAX)
        self._unmeasured: set[int] = set()
        self._ends: dict[int, int] = {}

    def poll(self, timeout_s: float) -> Turn:
        """Return the next records; from any one thread."""
        records = self._consumer.poll(timeout_s)
        revoked = self._consumer.take_revoked()
        self._unmeasured -= revoked
        self._ends = {partition: end for partition, end in self._ends.items() if partition not in revoked}
        self._unmeasured |= self._consumer.take_assigned()
        if self._unmeasured:
            with suppress(BrokerUnavailable):  # the records above must not get lost; measured at the next turn
                self._ends |= self._consumer.end_offsets(self._unmeasured)
                self._unmeasured.clear()
        complete = frozenset(partition for partition, end in self._ends.items() if self._is_read(partition, end))
        self._ends = {partition: end for partition, end in self._ends.items() if partition not in complete}
        return Turn(revoked, records, complete)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _is_read(self, partition: int, end: int) -> bool:
        with suppress(BrokerUnavailable):
            next_offset = self._consumer.next_offset(partition)
            return next_offset is not None and next_offset >= end
        return False


class JournalWriter:
    """Writes states; many waiting ones share one acknowledgement. For one event loop."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._topic = settings.topic(DELIVERIES)
        self._publisher = publisher
        self._waiting: asyncio.Queue[tuple[Delivery, asyncio.Future[None]]] = asyncio.Queue()

    async def write(self, delivery: Delivery) -> None:
        """Return once Kafka has acknowledged the state."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((delivery, written))
        await written

    async def run(self) -> None:
        """Write for ever; Kafka away: the same batch again and again, so the senders wait."""
        failures = 0
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _WRITES_MAX and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            while True:
                try:
                    await asyncio.to_thread(self._publish, [delivery for delivery, _ in batch])
                    break
                except BrokerUnavailable as error:
                    failures += 1
                    await asyncio.sleep(wait_s(failures, error.retry_after_s))
            failures = 0
            for _, written in batch:
                if not written.done():
                    written.set_result(None)

    def _publish(self, deliveries: Sequence[Delivery]) -> None:
        partitions = self._publisher.partitions_of(self._topic)
        self._publisher.publish(
            self._topic,
            [
                Outgoing(key_of(one), one.model_dump_json().encode(), endpoint_partition(one.endpoint_id, partitions))
                for one in deliveries
            ],
        )


def read_delivery(record: Record) -> Delivery | None:
    """Return the state in a record; null for an unreadable one, which is counted."""
    try:
        return Delivery.model_validate_json(record.value or b"")
    except ValidationError:
        metrics.WEBHOOK_SKIPPED.labels("deliveries").inc()
        return None
