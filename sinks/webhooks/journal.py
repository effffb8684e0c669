"""`deliveries.v1` as its dispatcher sees it: read from the beginning on assignment, written in small batches."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from schemas.errors import BrokerUnavailable
from schemas.events import Delivery, EndpointStatus
from schemas.identifiers import status_key
from schemas.settings import Settings
from schemas.topics import DELIVERIES
from sinks import metrics
from sinks.backoff import wait_s
from sinks.kafka_client import GroupConsumer, Outgoing, Publisher, Record
from sinks.webhooks.book import key_of
from sinks.webhooks.envelope import headers_of_delivery
from sinks.webhooks.fanout import endpoint_partition
from sinks.webhooks.glance import Whole, document_of

_RECORDS_MAX = 2_000  # the event loop takes them in at one go: 20 ms
_WRITES_MAX = 500
_ECHOES_MAX = 5_000
_GATHER_S = 0.015  # more states share one acknowledgement; an endpoint's slot is held that much longer


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
        self._consumer = GroupConsumer(
            settings,
            settings.topic(DELIVERIES),
            f"{settings.topic_prefix}webhook-dispatcher",
            _RECORDS_MAX,
            settings.webhook_worker_id or None,
        )
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

    @property
    def is_current(self) -> bool:
        """Tell whether every partition was read up to the end it had when it came."""
        return not self._unmeasured and not self._ends

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _is_read(self, partition: int, end: int) -> bool:
        with suppress(BrokerUnavailable):
            next_offset = self._consumer.next_offset(partition)
            return next_offset is not None and next_offset >= end
        return False


@dataclass(frozen=True, slots=True)
class _Write:
    """One record to write; its partition is the endpoint's, or given."""

    outgoing: Outgoing
    endpoint_id: int | None
    written: asyncio.Future[None]


class JournalWriter:
    """Writes states; many waiting ones share one acknowledgement. For one event loop."""

    def __init__(
        self, settings: Settings, publisher: Publisher, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._topic = settings.topic(DELIVERIES)
        self._publisher = publisher
        self._now = now
        self._waiting: asyncio.Queue[_Write] = asyncio.Queue()
        self._written_lately: OrderedDict[str, bytes] = OrderedDict()

    def is_echo(self, key: str, record: bytes) -> bool:
        """Tell whether a record that was read is the one this writer wrote: then all of it is known already."""
        if self._written_lately.get(key) != record:
            return False
        del self._written_lately[key]
        return True

    async def write(self, delivery: Whole) -> bytes:
        """Return the record once Kafka has acknowledged it."""
        record = document_of(delivery)
        headers = headers_of_delivery(delivery, self._now())
        key = key_of(delivery)
        await self._written(Outgoing(key, record, None, headers), delivery.endpoint_id)
        self._written_lately[key] = record
        if len(self._written_lately) > _ECHOES_MAX:
            self._written_lately.popitem(last=False)
        return record

    async def write_status(self, status: EndpointStatus) -> None:
        """Return once Kafka has acknowledged an endpoint's status."""
        await self._written(
            Outgoing(status_key(status.endpoint_id), status.model_dump_json().encode()), status.endpoint_id
        )

    async def bury(self, keys: Sequence[str], partition: int) -> None:
        """Return once Kafka has acknowledged a tombstone for each key."""
        await asyncio.gather(*(self._written(Outgoing(key, None, partition), None) for key in keys))

    async def run(self) -> None:
        """Write for ever; Kafka away: the same batch again and again, so the senders wait."""
        failures = 0
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(_GATHER_S)
            while len(batch) < _WRITES_MAX and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            while True:
                try:
                    await asyncio.to_thread(self._publish, batch)
                    break
                except BrokerUnavailable as error:
                    failures += 1
                    await asyncio.sleep(wait_s(failures, error.retry_after_s))
            failures = 0
            for write in batch:
                if not write.written.done():
                    write.written.set_result(None)

    async def _written(self, outgoing: Outgoing, endpoint_id: int | None) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Write(outgoing, endpoint_id, written))
        await written

    def _publish(self, batch: Sequence[_Write]) -> None:
        partitions = self._publisher.partitions_of(self._topic)
        self._publisher.publish(
            self._topic,
            [
                write.outgoing
                if write.endpoint_id is None
                else write.outgoing._replace(partition=endpoint_partition(write.endpoint_id, partitions))
                for write in batch
            ],
        )


def read_journal(record: Record) -> Delivery | EndpointStatus | None:
    """Return the state in a record (not a tombstone); null for an unreadable one, which is counted."""
    model = EndpointStatus if (record.key or b"").startswith(b":") else Delivery
    try:
        return model.model_validate_json(record.value or b"")
    except ValidationError:
        metrics.WEBHOOK_SKIPPED.labels("deliveries").inc()
        return None
