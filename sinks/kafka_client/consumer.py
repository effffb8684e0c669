"""A member of a consumer group."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
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
from sinks.kafka_client.common import (
    CLOSE_TIMEOUT_MS,
    CONSUMER_OPTIONS,
    REQUEST_TIMEOUT_MS,
    broker_errors,
    end_offsets,
    partitions_of,
    records_of,
)
from sinks.kafka_client.records import Record

_NOT_OURS_ANY_MORE = (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class GroupConsumer:
    """One member of a consumer group on one topic. Use it from one thread at a time; it never commits by itself.

    Rebalances only leave marks here (the library calls back on its own thread); the owner asks for them after
    `poll` and drops the work of partitions that are gone.

    `worker_id`: static membership. A member that comes back under its id after a kill has its partitions again at
    once; without one the group waits for the session's time-out first.
    """

    def __init__(
        self, settings: Settings, topic: str, group: str, records_max: int, worker_id: str | None = None
    ) -> None:
        self._topic = topic
        self._marks = _RebalanceMarks()
        with broker_errors():
            self._consumer: Any = KafkaConsumer(
                **kafka_options(settings),
                **CONSUMER_OPTIONS,
                group_id=group,
                client_id=group,
                group_instance_id=f"{group}.{worker_id}" if worker_id else None,
                max_poll_records=records_max,
                session_timeout_ms=10_000,
                heartbeat_interval_ms=3_000,
                partition_assignment_strategy=(CooperativeStickyAssignor,),
            )
        try:
            # The library's leader assigns nothing, and never again, if it joins before it knows the partitions.
            partitions_of(self._consumer, topic)
            with broker_errors():
                self._consumer.subscribe([topic], listener=self._marks)
        except BrokerUnavailable:
            self.close()
            raise

    def poll(self, timeout_s: float) -> list[Record]:
        """Records of the partitions assigned now, oldest first within each; also keeps the membership alive."""
        with broker_errors():
            polled = self._consumer.poll(timeout_ms=int(timeout_s * 1000))
        self._finish_joining()
        return records_of(polled)

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
        return end_offsets(self._consumer, self._topic, partitions)

    def next_offset(self, partition: int) -> int | None:
        """Offset of the next record `poll` will return; null while that is not known, or not ours any more."""
        with broker_errors():
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
            self._consumer.commit(offsets, timeout_ms=REQUEST_TIMEOUT_MS)
        except _NOT_OURS_ANY_MORE as error:
            raise OwnershipLost(f"commit on {self._topic}: {error}") from error
        except KafkaError as error:
            raise BrokerUnavailable(f"commit on {self._topic}: {error}") from error

    def _finish_joining(self) -> None:
        """Let the library finish joining where it has forgotten that it has begun to.

        A leader joins anew when the topic's metadata have changed, and has no reason to any more once it has assigned
        partitions by the new ones. If a poll ends just then, the next one does not ask for the answer (kafka-python
        3.0.12): no heartbeats, put out of the group, and polls that spin.
        """
        coordinator = self._consumer._coordinator  # noqa: SLF001 -- it has no public way
        if coordinator.rebalance_in_progress() and not coordinator.need_rejoin():
            coordinator.request_rejoin()

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)


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
