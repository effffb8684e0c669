"""Read a topic once, from its beginning to what was its end at the start."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas.errors import BrokerUnavailable, ConfigurationError
from schemas.settings import Settings, kafka_options

_POLL_MS = 200
_METADATA_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the topic holds it."""

    partition: int
    offset: int
    time: datetime
    key: bytes | None
    value: bytes | None


def read_to_end(settings: Settings, topic: str) -> Iterator[Stored]:
    """Yield every committed record of a topic, partition by partition in order, and end.

    Raises:
        ConfigurationError: there is no such topic.
        BrokerUnavailable: Kafka does not answer.
    """
    try:
        consumer = KafkaConsumer(
            **kafka_options(settings),
            group_id=None,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            isolation_level="read_committed",
        )
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka at {settings.kafka_bootstrap}: {error}") from error
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        if not partitions:
            raise ConfigurationError(f"topic {topic} does not exist: run `fusion-billing topics apply` first")
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions, timeout_ms=_METADATA_TIMEOUT_MS)
        # The position, not the last record: transaction markers occupy offsets too.
        while any(consumer.position(place) < ends[place] for place in partitions):
            for records in consumer.poll(timeout_ms=_POLL_MS).values():
                for record in records:
                    time = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                    yield Stored(record.partition, record.offset, time, record.key, record.value)
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka at {settings.kafka_bootstrap}: {error}") from error
    finally:
        consumer.close(autocommit=False, timeout_ms=1000)
