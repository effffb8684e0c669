"""A producer that returns only after the acknowledgement, and that recovers from any outage."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.errors import BrokerUnavailable
from schemas.settings import Settings, kafka_options
from sinks.kafka_client.common import CLOSE_TIMEOUT_MS, REQUEST_TIMEOUT_MS, START_TIMEOUT_MS, broker_errors
from sinks.kafka_client.records import Outgoing

log = structlog.get_logger()

ACK_TIMEOUT_S = 15.0
_DROP_S = 2.0


class Publisher:
    """An idempotent producer with acks=all. Thread-safe.

    Records that are not acknowledged in `ack_timeout_s` cost the client: it is dropped with all it holds, and the
    next call makes a new one. Left to itself, kafka-python 3.0.12 stays silent for ever after the first record that
    expires while it is retried, and what it still held would reach the log long after its writer was told to write
    it again.
    """

    def __init__(self, settings: Settings, ack_timeout_s: float = ACK_TIMEOUT_S) -> None:
        self._options = kafka_options(settings)
        self._ack_timeout_s = ack_timeout_s
        self._lock = threading.Lock()
        self._client: Any = None
        self._connected()

    def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Write all records and wait until each one is acknowledged.

        Raises:
            BrokerUnavailable: at least one is not, or may not be, stored; writing all again is the remedy.
        """
        if not records:
            return
        client = self._connected()
        deadline_s = time.monotonic() + self._ack_timeout_s
        try:
            # Bounded by the caller's batch: the library itself bounds nothing while the broker is away.
            futures = [
                client.send(
                    topic,
                    key=one.key.encode(),
                    value=one.value,
                    partition=one.partition,
                    headers=list(one.headers) or None,
                )
                for one in records
            ]
            for future in futures:
                future.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except KafkaError as error:
            self._abandon(client)
            raise BrokerUnavailable(f"{topic}: {type(error).__name__}: {error}") from error

    def partitions_of(self, topic: str) -> int:
        """Number of partitions the topic has."""
        with broker_errors():
            numbers = self._connected().partitions_for(topic)
        if not numbers:
            raise BrokerUnavailable(f"topic {topic} does not exist yet")
        return len(numbers)

    def close(self) -> None:
        """Drop what is not acknowledged (nobody was told it was) and free the connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            _drop(client, CLOSE_TIMEOUT_MS / 1000)

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                with broker_errors():
                    self._client = KafkaProducer(
                        **self._options,
                        acks="all",
                        enable_idempotence=True,
                        allow_auto_create_topics=False,
                        linger_ms=2,
                        # Never: this class keeps time itself.
                        delivery_timeout_ms=24 * 60 * 60 * 1000,
                        request_timeout_ms=REQUEST_TIMEOUT_MS,
                        max_block_ms=REQUEST_TIMEOUT_MS,
                        bootstrap_timeout_ms=START_TIMEOUT_MS,
                        metrics_enabled=False,
                    )
            return self._client

    def _abandon(self, client: Any) -> None:
        """Drop a client that failed; another thread's call on it fails, too, and is repeated by its caller."""
        with self._lock:
            if self._client is not client:
                return
            self._client = None
        log.warning("sink.producer_renewed")
        _drop(client, 0.0)


def _drop(client: Any, timeout_s: float) -> None:
    """Stop a client; what it still holds after `timeout_s` is not sent any more."""
    with suppress(KafkaError):
        client.close(timeout=timeout_s)
    client._sender.force_close()  # noqa: SLF001 -- a time-out above leaves its thread running, and sending
    client._sender.join(_DROP_S)  # noqa: SLF001
    with suppress(KafkaError):
        client.close(timeout=0)
