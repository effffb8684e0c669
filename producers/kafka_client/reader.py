"""Follow a compacted topic: all of it from the beginning, then whatever is added, in a thread of its own."""

import threading
from collections.abc import Callable
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from producers.kafka_client.records import Position
from schemas.settings import Settings, kafka_options

_log = structlog.get_logger("fusion.kafka")

_POLL_MS = 200
_PAUSE_S = 0.5
_METADATA_TIMEOUT_MS = 10_000

Apply = Callable[[str, bytes | None], None]
"""Takes a record's key and value, null meaning deleted. Called in log order per partition, again after a reconnect;
must not raise: a record it cannot read is its own to report."""


class CompactedReader:
    """Hands every record of a compacted topic to `apply`, without a consumer group.

    `is_caught_up` turns true, once and for ever, when all that was in the topic at the start has been applied.
    """

    def __init__(self, settings: Settings, topic: str, apply: Apply) -> None:
        self._options = kafka_options(settings) | {
            "group_id": None,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "allow_auto_create_topics": False,
            "isolation_level": "read_committed",
        }
        self._topic = topic
        self._apply = apply
        self._caught_up = threading.Event()
        self._stopping = threading.Event()
        self._next_offsets: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name=f"read-{topic}", daemon=True)

    def start(self) -> None:
        """Begin to read in the background, as soon as the topic can be reached."""
        self._thread.start()

    def is_caught_up(self) -> bool:
        """Tell whether everything that was in the topic at the start has been applied."""
        return self._caught_up.is_set()

    def has_read(self, position: Position) -> bool:
        """Tell whether the record at this position was applied."""
        return self._next_offsets.get(position.partition, 0) > position.offset

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop reading and disconnect."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except KafkaError as error:
                _log.warning("kafka.read_failed", topic=self._topic, error=f"{type(error).__name__}: {error}")
                self._stopping.wait(_PAUSE_S)

    def _follow(self) -> None:
        """Read from where the last connection stopped (at first the beginning) until told to stop."""
        consumer = KafkaConsumer(**self._options)
        try:
            partitions = self._partitions(consumer)
            if not partitions:
                self._stopping.wait(_PAUSE_S)
                return
            consumer.assign(partitions)
            for partition in partitions:
                self._seek(consumer, partition)
            ends = consumer.end_offsets(partitions, timeout_ms=_METADATA_TIMEOUT_MS)
            while not self._stopping.is_set():
                self._poll_once(consumer)
                if not self._caught_up.is_set() and all(consumer.position(p, 1000) >= ends[p] for p in partitions):
                    self._caught_up.set()
                    _log.info("kafka.caught_up", topic=self._topic, next_offsets=dict(self._next_offsets))
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)

    def _partitions(self, consumer: Any) -> list[Any]:
        consumer.bootstrap(timeout_ms=_METADATA_TIMEOUT_MS)
        numbers = consumer.partitions_for_topic(self._topic)
        return [TopicPartition(self._topic, number) for number in sorted(numbers or ())]

    def _seek(self, consumer: Any, partition: Any) -> None:
        if partition.partition in self._next_offsets:
            consumer.seek(partition, self._next_offsets[partition.partition])
        else:
            consumer.seek_to_beginning(partition)

    def _poll_once(self, consumer: Any) -> None:
        for partition, records in consumer.poll(timeout_ms=_POLL_MS, max_records=5000).items():
            for record in records:
                if record.key is not None:  # brokers refuse keyless records here since topics are compacted
                    self._apply(record.key.decode(errors="replace"), record.value)
                self._next_offsets[partition.partition] = record.offset + 1
