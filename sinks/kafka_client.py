"""The sinks' only use of kafka-python: group members, whole-topic readers and an awaited publisher, typed.

Library errors leave as `BrokerUnavailable` (try again) or `OwnershipLost` (drop the work, the new owner has it).
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import OffsetAndMetadata

from schemas.errors import BrokerUnavailable, OwnershipLost
from schemas.settings import Settings, kafka_options

_REQUEST_TIMEOUT_MS = 10_000
_START_TIMEOUT_MS = 5_000
_CLOSE_TIMEOUT_MS = 5_000
_DELIVERY_TIMEOUT_MS = 15_000
_METADATA_MAX_AGE_MS = 30_000  # new partitions are seen within that
_CONSUMER_OPTIONS: dict[str, Any] = {
    "auto_offset_reset": "earliest",
    "enable_auto_commit": False,
    "allow_auto_create_topics": False,
    "isolation_level": "read_committed",
    "request_timeout_ms": _REQUEST_TIMEOUT_MS,
    "bootstrap_timeout_ms": _START_TIMEOUT_MS,
    "metadata_max_age_ms": _METADATA_MAX_AGE_MS,
}
_NOT_OURS_ANY_MORE = (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read; `timestamp_ms` is the broker's or producer's, since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Outgoing(NamedTuple):
    """One record to write; `partition` null lets murmur2 of the key decide; `value` null is a tombstone."""

    key: str
    value: bytes | None
    partition: int | None = None


class GroupConsumer:
    """One member of a consumer group on one topic. Use it from one thread at a time; it never commits by itself.

    Rebalances only leave marks here (the library calls back on its own thread); the owner asks for them after
    `poll` and drops the work of partitions that are gone.
    """

    def __init__(self, settings: Settings, topic: str, group: str, records_max: int) -> None:
        self._topic = topic
        self._marks = _RebalanceMarks()
        with _broker_errors():
            self._consumer: Any = KafkaConsumer(
                **kafka_options(settings),
                **_CONSUMER_OPTIONS,
                group_id=group,
                client_id=group,
                max_poll_records=records_max,
                session_timeout_ms=10_000,
                heartbeat_interval_ms=3_000,
                partition_assignment_strategy=(CooperativeStickyAssignor,),
            )
            # The library's leader assigns nothing, and never again, if it joins before it knows the partitions.
            is_known = bool(self._consumer.partitions_for_topic(topic))
            if is_known:
                self._consumer.subscribe([topic], listener=self._marks)
        if not is_known:
            self.close()
            raise BrokerUnavailable(f"topic {topic} does not exist yet")

    def poll(self, timeout_s: float) -> list[Record]:
        """Records of the partitions assigned now, oldest first within each; also keeps the membership alive."""
        with _broker_errors():
            return _records(self._consumer.poll(timeout_ms=int(timeout_s * 1000)))

    def take_revoked(self) -> frozenset[int]:
        """Partitions that were taken away since the last call, even if they came back meanwhile."""
        return self._marks.take_revoked()

    def take_assigned(self) -> frozenset[int]:
        """Partitions that came since the last call; each will be read from its committed offset."""
        return self._marks.take_assigned()

    def pause(self) -> None:
        """Read nothing from the partitions assigned now; a reassignment ends the pause."""
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """End the pause."""
        self._consumer.resume(*self._consumer.paused())

    def end_offsets(self, partitions: Iterable[int]) -> dict[int, int]:
        """Offset after the last readable record of each partition."""
        return _end_offsets(self._consumer, self._topic, partitions)

    def next_offset(self, partition: int) -> int | None:
        """Offset of the next record `poll` will return; null while that is not known, or not ours any more."""
        with _broker_errors():
            try:
                offset: int | None = self._consumer.position(TopicPartition(self._topic, partition), timeout_ms=1000)
            except IllegalStateError:
                return None
        return offset

    def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Commit the offset after the last finished record of each partition.

        Raises:
            OwnershipLost: the group has moved on without us; the new owner repeats the work.
            BrokerUnavailable: unknown whether it was stored; commit again later.
        """
        offsets = {
            TopicPartition(self._topic, partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in next_offsets.items()
        }
        try:
            self._consumer.commit(offsets, timeout_ms=_REQUEST_TIMEOUT_MS)
        except _NOT_OURS_ANY_MORE as error:
            raise OwnershipLost(f"commit on {self._topic}: {error}") from error
        except KafkaError as error:
            raise BrokerUnavailable(f"commit on {self._topic}: {error}") from error

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close(autocommit=False, timeout_ms=_CLOSE_TIMEOUT_MS)


class TopicReader:
    """Reads all partitions of a topic from their beginning, outside any group. One thread at a time."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        with _broker_errors():
            self._consumer: Any = KafkaConsumer(**kafka_options(settings), **_CONSUMER_OPTIONS)
            numbers = self._consumer.partitions_for_topic(topic)
        if not numbers:
            self._consumer.close()
            raise BrokerUnavailable(f"topic {topic} does not exist yet")
        self._partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        self._consumer.assign(self._partitions)

    def read_to_end(self) -> Iterator[Record]:
        """Yield all that is there now and was not read yet.

        Raises:
            BrokerUnavailable: cut short; call again to go on.
        """
        ends = _end_offsets(self._consumer, self._topic, [partition.partition for partition in self._partitions])
        empty_polls = 0
        while any(self._next_offset(part) < ends[part.partition] for part in self._partitions):
            with _broker_errors():
                records = _records(self._consumer.poll(timeout_ms=500))
            empty_polls = 0 if records else empty_polls + 1
            if empty_polls * 500 > _REQUEST_TIMEOUT_MS:
                raise BrokerUnavailable(f"{self._topic}: no records although there are some")
            yield from records

    def close(self) -> None:
        """Free the connections."""
        self._consumer.close(autocommit=False, timeout_ms=_CLOSE_TIMEOUT_MS)

    def _next_offset(self, partition: Any) -> int:
        with _broker_errors():
            return int(self._consumer.position(partition, timeout_ms=_REQUEST_TIMEOUT_MS) or 0)


class Publisher:
    """An idempotent producer with acks=all that returns only after the acknowledgement. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        with _broker_errors():
            self._producer: Any = KafkaProducer(
                **kafka_options(settings),
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                linger_ms=2,
                delivery_timeout_ms=_DELIVERY_TIMEOUT_MS,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
                max_block_ms=_REQUEST_TIMEOUT_MS,
                bootstrap_timeout_ms=_START_TIMEOUT_MS,
            )

    def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Write all records and wait until each one is acknowledged.

        Raises:
            BrokerUnavailable: at least one is not, or may not be, stored; writing all again is the remedy.
        """
        with _broker_errors():
            # Bounded by the caller's batch: the library itself bounds nothing while the broker is away.
            futures = [
                self._producer.send(topic, key=one.key.encode(), value=one.value, partition=one.partition)
                for one in records
            ]
            for future in futures:
                future.get(timeout=_DELIVERY_TIMEOUT_MS / 1000 + 5)

    def partitions_of(self, topic: str) -> int:
        """Number of partitions the topic has."""
        with _broker_errors():
            numbers = self._producer.partitions_for(topic)
        if not numbers:
            raise BrokerUnavailable(f"topic {topic} does not exist yet")
        return len(numbers)

    def close(self) -> None:
        """Drop what is not acknowledged (nobody was told it was) and free the connections."""
        self._producer.close(timeout=_CLOSE_TIMEOUT_MS / 1000)


class _RebalanceMarks(ConsumerRebalanceListener):  # type: ignore[misc]  # the library is untyped
    """Remembers what a rebalance took and gave; called on the library's thread, so it must not do more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revoked: set[int] = set()
        self._assigned: set[int] = set()

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Note partitions that go to another member, or were lost to one."""
        numbers = {partition.partition for partition in revoked}
        with self._lock:
            self._revoked |= numbers
            self._assigned -= numbers

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Note partitions that came."""
        with self._lock:
            self._assigned |= {partition.partition for partition in assigned}

    def take_revoked(self) -> frozenset[int]:
        """Return and forget the partitions taken away."""
        with self._lock:
            taken, self._revoked = frozenset(self._revoked), set()
        return taken

    def take_assigned(self) -> frozenset[int]:
        """Return and forget the partitions given."""
        with self._lock:
            taken, self._assigned = frozenset(self._assigned), set()
        return taken


def _end_offsets(consumer: Any, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    with _broker_errors():
        ends = consumer.end_offsets([TopicPartition(topic, number) for number in partitions])
    return {partition.partition: offset for partition, offset in ends.items()}


def _records(polled: Mapping[Any, Sequence[Any]]) -> list[Record]:
    return [
        Record(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)
        for records in polled.values()
        for record in records
    ]


@contextmanager
def _broker_errors() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error
