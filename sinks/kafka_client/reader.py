"""A whole topic, read from its beginning, outside any group."""

from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from schemas.errors import BrokerUnavailable
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

_POLL_MS = 500


class TopicReader:
    """Reads all partitions of a topic from their beginning. One thread at a time."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        with broker_errors():
            self._consumer: Any = KafkaConsumer(**kafka_options(settings), **CONSUMER_OPTIONS)
        try:
            self._partitions = [TopicPartition(topic, number) for number in partitions_of(self._consumer, topic)]
        except BrokerUnavailable:
            self.close()
            raise
        self._consumer.assign(self._partitions)

    def read_to_end(self) -> Iterator[Record]:
        """Yield all that is there now and was not read yet.

        Raises:
            BrokerUnavailable: cut short; call again to go on.
        """
        ends = end_offsets(self._consumer, self._topic, [partition.partition for partition in self._partitions])
        empty_polls = 0
        while any(self._next_offset(part) < ends[part.partition] for part in self._partitions):
            with broker_errors():
                records = records_of(self._consumer.poll(timeout_ms=_POLL_MS))
            empty_polls = 0 if records else empty_polls + 1
            if empty_polls * _POLL_MS > REQUEST_TIMEOUT_MS:
                raise BrokerUnavailable(f"{self._topic}: no records although there are some")
            yield from records

    def close(self) -> None:
        """Free the connections."""
        self._consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)

    def _next_offset(self, partition: Any) -> int:
        with broker_errors():
            return int(self._consumer.position(partition, timeout_ms=REQUEST_TIMEOUT_MS) or 0)
