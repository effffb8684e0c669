"""`RecordProducer` over kafka-python: acks=all, idempotent, bounded, and alive before and after the broker is."""

import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from producers.kafka_client.records import RECORD_BYTES_MAX, Position, Record, RecordTooLarge
from producers.kafka_client.unacked import Unacked
from schemas.errors import BillingError, BrokerUnavailable
from schemas.settings import Settings, kafka_options

_log = structlog.get_logger("fusion.kafka")

_CONNECT_TIMEOUT_S = 2.0
_SUPERVISE_S = 0.1
_DROP_S = 2.0


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
    its broker; until then `send` raises BrokerUnavailable at once.

    A record that is not acknowledged within `ack_timeout_s` fails, and with it the client: all it holds is dropped
    and a new client connects. Left to itself, kafka-python 3.0.12 stays silent for ever after the first record that
    expires while it is being retried (it gives up its producer id and never asks for another), and what it still
    held would reach the log long after its sender was told to send it again.
    """

    def __init__(self, settings: Settings, limits: ProducerLimits | None = None, topics: Sequence[str] = ()) -> None:
        self._limits = limits or ProducerLimits()
        self._topics = tuple(topics)
        self._options = kafka_options(settings) | producer_options(self._limits)
        self._client: Any = None
        self._has_connected = False
        self._connected = threading.Event()
        self._stopping = threading.Event()
        self._unacked = Unacked(self._limits.unacked_records_max, self._limits.unacked_bytes_max)
        self._supervisor = threading.Thread(target=self._supervise, name="kafka-producer", daemon=True)

    def start(self) -> None:
        """Begin to connect in the background."""
        self._supervisor.start()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait for a connection; tell whether it came in time."""
        return self._connected.wait(timeout_s)

    @property
    def has_connected(self) -> bool:
        """Tell whether there ever was a connection."""
        return self._has_connected

    @property
    def unacked_records(self) -> int:
        """Records that were sent and have neither been acknowledged nor given up."""
        return len(self._unacked)

    def partitions(self, topic: str) -> int:
        """See `RecordProducer.partitions`; waits for Kafka only for a topic never seen before."""
        try:
            return len(self._connected_client().partitions_for(topic))
        except KafkaError as error:
            raise translated(error) from error

    def send(self, record: Record) -> Future[Position]:
        """See `RecordProducer.send`."""
        client = self._connected_client()
        size_bytes = len(record.value or b"") + len(record.key or b"")
        if size_bytes > RECORD_BYTES_MAX:
            raise RecordTooLarge(f"a record of {size_bytes} bytes exceeds {RECORD_BYTES_MAX}")
        number, future = self._unacked.add(size_bytes, time.monotonic())
        try:
            pending = client.send(
                record.topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
        except (KafkaError, ValueError) as error:  # ValueError: its picture of the topic lacks the partition
            self._unacked.forget(number)
            raise translated(error) from error
        pending.add_callback(lambda found: self._unacked.settle(number, Position(found.partition, found.offset)))
        pending.add_errback(lambda error: self._unacked.fail(number, translated(error)))
        return future

    def flush(self, timeout_s: float) -> bool:
        """See `RecordProducer.flush`."""
        return self._unacked.wait_empty(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Send what is queued, within the time given, and disconnect; what is left then fails."""
        self.flush(timeout_s)
        self._stopping.set()
        if self._supervisor.is_alive():
            self._supervisor.join(timeout_s)
        self._abandon("closed")

    def _connected_client(self) -> Any:
        client = self._client
        if client is None or self._stopping.is_set():
            raise BrokerUnavailable("not connected to Kafka")
        return client

    def _supervise(self) -> None:
        while not self._stopping.wait(_SUPERVISE_S):
            if self._client is None:
                self._connect()
            elif self._unacked.oldest_age_s(time.monotonic()) > self._limits.ack_timeout_s:
                _log.warning("kafka.not_acknowledging", unacked=len(self._unacked))
                self._abandon("Kafka did not acknowledge in time")

    def _connect(self) -> None:
        if not any(accepts(server) for server in self._options["bootstrap_servers"]):
            return
        client: Any = None
        try:
            client = KafkaProducer(**self._options)
            for topic in self._topics:
                client.partitions_for(topic)
        except KafkaError as error:
            _log.warning("kafka.connect_failed", error=f"{type(error).__name__}: {error}")
            if client is not None:
                drop(client)
            return
        self._client = client
        self._has_connected = True
        self._connected.set()
        _log.info("kafka.connected")

    def _abandon(self, why: str) -> None:
        """Drop the client and all it holds; the next round of supervision connects a new one."""
        client, self._client = self._client, None
        self._connected.clear()
        if client is not None:
            drop(client)
        self._unacked.fail_all(BrokerUnavailable(why))


def drop(client: Any) -> None:
    """Stop a client without sending what it holds."""
    with suppress(KafkaError):
        client.close(timeout=0)  # a time-out here, when it holds anything, leaves its thread running
    client._sender.force_close()  # noqa: SLF001 -- the only way to make it drop its records
    client._sender.join(_DROP_S)  # noqa: SLF001
    with suppress(KafkaError):
        client.close(timeout=0)


def producer_options(limits: ProducerLimits) -> dict[str, Any]:
    """Return the options of a producer that waits for all in-sync replicas and never for longer than `limits` say."""
    ack_timeout_ms = max(1, int(limits.ack_timeout_s * 1000))
    return {
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": limits.linger_ms,
        "max_request_size": RECORD_BYTES_MAX + 100_000,
        "allow_auto_create_topics": False,
        "max_block_ms": ack_timeout_ms,
        "request_timeout_ms": ack_timeout_ms,
        # Never: see KafkaRecordProducer, which keeps time itself.
        "delivery_timeout_ms": 24 * 60 * 60 * 1000,
        "bootstrap_timeout_ms": 5_000,
    }


def accepts(server: str) -> bool:
    """Tell whether something listens at `host:port`."""
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


def translated(error: BaseException) -> BillingError:
    """Return what a library error means to us."""
    if isinstance(error, MessageSizeTooLargeError):
        return RecordTooLarge(str(error))
    return BrokerUnavailable(f"Kafka did not acknowledge: {type(error).__name__}")
