"""The only module of the meter that imports aiokafka: reading ranges of a log, and fenced, transactional publishing."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from schemas import topics
from schemas.errors import BrokerUnavailable, OwnershipLost
from schemas.settings import Settings
from streams.records import LogRecord, Outgoing

_RETRY_AFTER_S = 1.0
_TRANSACTION_TIMEOUT_MS = 30_000


def connection_options(settings: Settings) -> dict[str, Any]:
    """Return the connection options in aiokafka's names."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": settings.kafka_security_protocol,
    }
    if "SSL" in settings.kafka_security_protocol:
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    if settings.kafka_sasl_mechanism and settings.kafka_sasl_password:
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
        }
    return options


class LogReader:
    """Reads one topic without a group, committed records only. Start it once; close it at the end."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._options = {
            **connection_options(settings),
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
        }

    async def partitions(self) -> int:
        """Return how many partitions the topic has."""
        async with AIOKafkaConsumer(self._topic, **self._options) as consumer:
            return len(consumer.partitions_for_topic(self._topic) or ())

    async def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset that is still there and the one after the last."""
        place = TopicPartition(self._topic, partition)
        async with AIOKafkaConsumer(**self._options) as consumer:
            first = await _or_unavailable(consumer.beginning_offsets([place]))
            end = await _or_unavailable(consumer.end_offsets([place]))
            return first[place], end[place]

    async def read(self, partition: int, start: int, end: int | None = None) -> AsyncIterator[LogRecord]:
        """Yield the records of [start, end); without `end` go on for ever.

        Offsets may be missing: transaction markers and aborted records occupy some. A range that holds nothing
        but those ends as well, since the reader's position is what is compared, not the last record's offset.
        """
        place = TopicPartition(self._topic, partition)
        async with AIOKafkaConsumer(**self._options) as consumer:
            consumer.assign([place])
            consumer.seek(place, start)
            while end is None or await consumer.position(place) < end:
                batches = await _or_unavailable(consumer.getmany(timeout_ms=200))
                for record in batches.get(place, ()):
                    if end is not None and record.offset >= end:
                        return
                    yield LogRecord(partition, record.offset, record.key, record.value)


class FencedPublisher:
    """Publishes in transactions under one transactional id, so that whoever starts later shuts out the former owner."""

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._options = {
            **connection_options(settings),
            "transactional_id": transactional_id,
            "transaction_timeout_ms": _TRANSACTION_TIMEOUT_MS,
            "acks": "all",
            "max_request_size": topics.REJECTED_BYTES_MAX,
            "linger_ms": 0,
        }
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Take ownership of the id: earlier producers with it can publish no more."""
        producer = AIOKafkaProducer(**self._options)
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise BrokerUnavailable(f"Kafka: {error!r}", _RETRY_AFTER_S) from error
        self._producer = producer

    async def publish(self, records: Iterable[Outgoing]) -> None:
        """Publish all records or none of them, acknowledged by all replicas in sync.

        Raises:
            OwnershipLost: a later owner has started; nothing of this was published.
            BrokerUnavailable: try again; nothing, or all, of this was published.
        """
        if self._producer is None:
            await self.start()
        producer = self._producer
        if producer is None:  # pragma: no cover -- start sets it or raises
            raise BrokerUnavailable("Kafka: no producer", _RETRY_AFTER_S)
        try:
            await producer.begin_transaction()
            sent = [
                await producer.send(record.topic, record.value, key=record.key, partition=record.partition)
                for record in records
            ]
            for future in sent:
                await future
            await producer.commit_transaction()
        except ProducerFenced as error:
            await self.close()
            raise OwnershipLost("another worker publishes for this partition now") from error
        except (KafkaError, OSError, AssertionError) as error:
            # After any failure the producer's state is not to be trusted; the next start aborts what is open.
            await self.close()
            raise BrokerUnavailable(f"Kafka: {error!r}", _RETRY_AFTER_S) from error

    async def close(self) -> None:
        """Let go of the producer; never raises, as there is nothing left to lose."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError, AssertionError):
                await producer.stop()


async def _or_unavailable(awaitable: Any) -> Any:
    try:
        return await awaitable
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"Kafka: {error!r}", _RETRY_AFTER_S) from error
