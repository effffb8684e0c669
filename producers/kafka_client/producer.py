"""`RecordProducer` over kafka-python: acks=all, idempotent, bounded, and alive before and after the broker is."""

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from producers.kafka_client.records import RECORD_BYTES_MAX, Position, Record, RecordTooLarge
from schemas.errors import BillingError, BrokerUnavailable
from schemas.settings import Settings, kafka_options

_log = structlog.get_logger("fusion.kafka")

_CONNECT_TIMEOUT_S = 2.0
_CONNECT_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class ProducerLimits:
    """What a producer holds at most: kafka-python itself bounds nothing while the broker is away."""

    ack_timeout_s: float = 5.0
    unacked_records_max: int = 5_000
    unacked_bytes_max: int = 64 << 20
    linger_ms: int = 0


class KafkaRecordProducer:
    """The real `RecordProducer`.

    `start` returns at once and connects in the background for as long as it takes, so that a role can start before
    its broker; until then `send` raises BrokerUnavailable at once. A record that is not acknowledged within
    `ack_timeout_s` fails and is forgotten.
    """

    def __init__(self, settings: Settings, limits: ProducerLimits | None = None, topics: Sequence[str] = ()) -> None:
        self._limits = limits or ProducerLimits()
        self._topics = tuple(topics)
        self._options = kafka_options(settings) | _producer_options(self._limits)
        self._producer: Any = None
        self._connected = threading.Event()
        self._stopping = threading.Event()
        self._room = threading.Condition()
        self._unacked_records = 0
        self._unacked_bytes = 0
        self._connector = threading.Thread(target=self._connect, name="kafka-connect", daemon=True)

    def start(self) -> None:
        """Begin to connect in the background."""
        self._connector.start()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait for the first connection; tell whether it came in time."""
        return self._connected.wait(timeout_s)

    @property
    def unacked_records(self) -> int:
        """Records that were sent and have neither been acknowledged nor given up."""
        return self._unacked_records

    def partitions(self, topic: str) -> int:
        """See `RecordProducer.partitions`; waits for Kafka only for a topic never seen before."""
        try:
            return len(self._client().partitions_for(topic))
        except KafkaError as error:
            raise _translated(error) from error

    def send(self, record: Record) -> Future[Position]:
        """See `RecordProducer.send`."""
        client = self._client()
        size_bytes = len(record.value or b"") + len(record.key or b"")
        if size_bytes > RECORD_BYTES_MAX:
            raise RecordTooLarge(f"a record of {size_bytes} bytes exceeds {RECORD_BYTES_MAX}")
        future: Future[Position] = Future()
        future.set_running_or_notify_cancel()  # so that a waiter that gives up cannot cancel what Kafka still answers
        self._reserve(size_bytes)
        try:
            pending = client.send(
                record.topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
        except KafkaError as error:
            self._release(size_bytes)
            raise _translated(error) from error
        except BaseException:
            self._release(size_bytes)
            raise
        pending.add_callback(self._on_ack(future, size_bytes))
        pending.add_errback(self._on_failure(future, size_bytes))
        return future

    def flush(self, timeout_s: float) -> bool:
        """See `RecordProducer.flush`."""
        with self._room:
            return self._room.wait_for(lambda: not self._unacked_records, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Send what is queued, within the time given, and disconnect."""
        self._stopping.set()
        self.flush(timeout_s)
        if self._connector.is_alive():
            self._connector.join(timeout_s)
        if self._producer is not None:
            with suppress(KafkaError):  # what was not acknowledged has failed its futures already
                self._producer.close(timeout=1)

    def _client(self) -> Any:
        if not self._connected.is_set() or self._stopping.is_set():
            raise BrokerUnavailable("not connected to Kafka")
        return self._producer

    def _reserve(self, size_bytes: int) -> None:
        with self._room:
            if (
                self._unacked_records >= self._limits.unacked_records_max
                or self._unacked_bytes + size_bytes > self._limits.unacked_bytes_max
            ):
                raise BrokerUnavailable("too many records wait for Kafka's acknowledgement")
            self._unacked_records += 1
            self._unacked_bytes += size_bytes

    def _release(self, size_bytes: int) -> None:
        with self._room:
            self._unacked_records -= 1
            self._unacked_bytes -= size_bytes
            self._room.notify_all()

    def _on_ack(self, future: Future[Position], size_bytes: int) -> Callable[[Any], None]:
        def acknowledged(metadata: Any) -> None:
            self._release(size_bytes)
            future.set_result(Position(metadata.partition, metadata.offset))

        return acknowledged

    def _on_failure(self, future: Future[Position], size_bytes: int) -> Callable[[BaseException], None]:
        def failed(error: BaseException) -> None:
            self._release(size_bytes)
            future.set_exception(_translated(error))

        return failed

    def _connect(self) -> None:
        """Try until it works. The port is tried first: a failed constructor leaves its I/O thread behind."""
        while not self._stopping.is_set():
            try:
                if any(_accepts(server) for server in self._options["bootstrap_servers"]):
                    self._producer = KafkaProducer(**self._options)
                    for topic in self._topics:
                        self._producer.partitions_for(topic)
                    self._connected.set()
                    _log.info("kafka.connected")
                    return
            except KafkaError as error:
                _log.warning("kafka.connect_failed", error=str(error))
                self._discard()
            self._stopping.wait(_CONNECT_PAUSE_S)

    def _discard(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=0)
            self._producer = None


def _producer_options(limits: ProducerLimits) -> dict[str, Any]:
    ack_timeout_ms = max(1, int(limits.ack_timeout_s * 1000))
    return {
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": limits.linger_ms,
        "max_request_size": RECORD_BYTES_MAX + 100_000,
        "allow_auto_create_topics": False,
        "max_block_ms": ack_timeout_ms,
        "request_timeout_ms": ack_timeout_ms,
        "delivery_timeout_ms": ack_timeout_ms + limits.linger_ms,
        "bootstrap_timeout_ms": 10_000,
    }


def _accepts(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


def _translated(error: BaseException) -> BillingError:
    if isinstance(error, MessageSizeTooLargeError):
        return RecordTooLarge(str(error))
    return BrokerUnavailable(f"Kafka did not acknowledge: {type(error).__name__}")
