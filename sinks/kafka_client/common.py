"""What all clients share: options, how library records and errors become ours."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError

from schemas.errors import BrokerUnavailable
from sinks.kafka_client.records import Record

REQUEST_TIMEOUT_MS = 10_000
START_TIMEOUT_MS = 5_000
CLOSE_TIMEOUT_MS = 5_000
_METADATA_MAX_AGE_MS = 30_000  # new partitions are seen within that

CONSUMER_OPTIONS: dict[str, Any] = {
    "auto_offset_reset": "earliest",
    "enable_auto_commit": False,
    "allow_auto_create_topics": False,
    "isolation_level": "read_committed",
    "request_timeout_ms": REQUEST_TIMEOUT_MS,
    "bootstrap_timeout_ms": START_TIMEOUT_MS,
    "metadata_max_age_ms": _METADATA_MAX_AGE_MS,
    "metrics_enabled": False,  # the library's own, which nobody reads
}


@contextmanager
def broker_errors() -> Iterator[None]:
    """Let every error of the library leave as BrokerUnavailable."""
    try:
        yield
    except KafkaError as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error


def partitions_of(consumer: Any, topic: str) -> list[int]:
    """Return the numbers of the topic's partitions; raises BrokerUnavailable while it has none."""
    with broker_errors():
        numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise BrokerUnavailable(f"topic {topic} does not exist yet")
    return sorted(numbers)


def end_offsets(consumer: Any, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Return the offset after the last readable record of each partition."""
    with broker_errors():
        ends = consumer.end_offsets([TopicPartition(topic, number) for number in partitions])
    return {partition.partition: offset for partition, offset in ends.items()}


def records_of(polled: Mapping[Any, Sequence[Any]]) -> list[Record]:
    """Return what a poll brought, in our type."""
    return [
        Record(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            tuple(record.headers) if record.headers else (),
        )
        for records in polled.values()
        for record in records
    ]
