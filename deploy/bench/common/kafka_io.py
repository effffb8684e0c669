"""The benchmarks' own use of kafka-python, independent of the roles': publish for certain, read cold, read on."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_RECONNECT_MS = 1_000  # the library's 30 s would be measured as somebody's latency
_IN_FLIGHT_MAX = 2_000  # the library itself bounds nothing
_ACKED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish; `partition` null leaves it to the key."""

    value: bytes
    key: bytes | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record as it was read, and when (monotonic seconds)."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None
    read_at: float


@dataclass(slots=True)
class Publisher:
    """Publishes to one topic, acks=all and idempotent, in order within a partition."""

    topic: str
    _producer: Any

    def send(self, record: Outgoing) -> Callable[[], int]:
        """Hand a record over; calling the answer waits for its offset.

        Raises: KafkaError, from the answer, when the record is not on the log.
        """
        future = self._producer.send(self.topic, value=record.value, key=record.key, partition=record.partition)
        return lambda: int(future.get(timeout=_ACKED_WITHIN_S).offset)

    def publish_all(self, records: Iterable[Outgoing]) -> int:
        """Publish all of them and return how many, once the broker has every one."""
        waiting: deque[Callable[[], int]] = deque()
        count = 0
        for count, record in enumerate(records, start=1):  # noqa: B007 -- the last number is the count
            waiting.append(self.send(record))
            if len(waiting) > _IN_FLIGHT_MAX:
                waiting.popleft()()
        self._producer.flush()
        for acked in waiting:
            acked()
        return count


@contextmanager
def publisher(bootstrap: str, topic: str, *, linger_ms: int = 10) -> Iterator[Publisher]:
    """A publisher to one topic; `linger_ms` 0 where latency is measured."""
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=linger_ms,
        batch_size=256 << 10,
        allow_auto_create_topics=False,
        reconnect_backoff_max_ms=_RECONNECT_MS,
        metrics_enabled=False,
    )
    try:
        yield Publisher(topic, producer)
    finally:
        producer.close(timeout=5)


@dataclass(slots=True)
class Follower:
    """Reads the committed records of some topics, from where it was told to start."""

    _consumer: Any
    _places: list[Any]

    def drain(self) -> Iterator[Incoming]:
        """What is there and was not read yet, up to the end as it is now."""
        ends = self._consumer.end_offsets(self._places)
        # Transaction markers take offsets, too: only the position tells that the end is reached.
        while any(self._consumer.position(place) < ends[place] for place in self._places):
            yield from self.poll(0.1)

    def poll(self, wait_s: float) -> list[Incoming]:
        """What comes within `wait_s`."""
        polled = self._consumer.poll(timeout_ms=int(wait_s * 1000))
        now = time.monotonic()
        return [
            Incoming(record.partition, record.offset, record.key or b"", record.value, now)
            for records in polled.values()
            for record in records
        ]


@contextmanager
def follower(bootstrap: str, topics: Iterable[str], start: Mapping[str, Mapping[int, int]]) -> Iterator[Follower]:
    """A reader without a group; `start` maps a topic to the first offset of each partition, default the oldest."""
    consumer = _consumer(bootstrap)
    try:
        places = [TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic)]
        consumer.assign(places)
        for place in places:
            if (offset := start.get(place.topic, {}).get(place.partition)) is None:
                consumer.seek_to_beginning(place)
            else:
                consumer.seek(place, offset)
        yield Follower(consumer, places)
    finally:
        consumer.close()


def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """The offset that the next record of each partition will get."""
    consumer = _consumer(bootstrap)
    try:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        return {place.partition: int(end) for place, end in consumer.end_offsets(places).items()}
    finally:
        consumer.close()


@contextmanager
def progress_of(bootstrap: str, group: str, topic: str) -> Iterator[Callable[[], dict[int, int]]]:
    """How far a group has committed each partition of a topic, as often as it is asked; the group does not notice."""
    consumer = _consumer(bootstrap, group)
    try:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        yield lambda: {place.partition: int(consumer.committed(place) or 0) for place in places}
    finally:
        consumer.close()


def delete_groups(bootstrap: str, prefix: str) -> None:
    """Forget the consumer groups below a prefix; one that still has a member is left to the broker's retention."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, reconnect_backoff_max_ms=_RECONNECT_MS)
    try:
        # One that a killed process has not left yet is refused: tidiness is not worth waiting for its session's end.
        with contextlib.suppress(KafkaError):
            groups = [str(group["group_id"]) for group in admin.list_groups()]
            admin.delete_groups([group for group in groups if group.startswith(prefix)])
    finally:
        admin.close()


def _consumer(bootstrap: str, group: str | None = None) -> Any:
    return KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        allow_auto_create_topics=False,
        max_poll_records=5_000,
        fetch_max_wait_ms=50,
        reconnect_backoff_max_ms=_RECONNECT_MS,
        metrics_enabled=False,
    )
