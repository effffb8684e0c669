"""Publishing in transactions, by one holder of a name at a time."""

import time
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError

from producers.kafka_client.producer import ProducerLimits, accepts, drop, producer_options, translated
from producers.kafka_client.records import Position, Record
from schemas.errors import BillingError, BrokerUnavailable, OwnershipLost
from schemas.settings import Settings, kafka_options

_TRANSACTION_TIMEOUT_MS = 30_000
_SHUT_OUT = (ProducerFencedError, InvalidProducerEpochError)


class FencedPublisher:
    """Whoever opens a name last may publish under it; whoever had it before is shut out from that moment.

    So what a holder read elsewhere after it had opened the name is newer than anything its forerunners published, and
    no forerunner can publish anything older after it. Not for several threads.
    """

    def __init__(self, settings: Settings, name: str, limits: ProducerLimits | None = None) -> None:
        """Take the name over: what the former holder left open is finished or aborted.

        Raises:
            BrokerUnavailable: Kafka is away; the former holder may be shut out all the same.
        """
        limits = limits or ProducerLimits()
        self._name = name
        self._within_s = limits.ack_timeout_s
        options = kafka_options(settings) | producer_options(limits)
        if not any(accepts(server) for server in options["bootstrap_servers"]):
            raise BrokerUnavailable("not connected to Kafka")
        try:
            self._client: Any = KafkaProducer(
                **options, transactional_id=name, transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS
            )
        except KafkaError as error:
            raise translated(error) from error
        try:
            self._client.init_transactions()
        except KafkaError as error:
            drop(self._client)
            raise translated(error) from error

    def publish(self, records: Sequence[Record]) -> list[Position]:
        """Publish all records, in order per partition, or none; return where they are.

        After any error the publisher is of no use any more: close it.

        Raises:
            OwnershipLost: somebody else opened the name; nothing was published.
            BrokerUnavailable: all or nothing was published; the next opening settles which.
            RecordTooLarge: nothing was published.
        """
        deadline_s = time.monotonic() + self._within_s
        try:
            self._client.begin_transaction()
            sent = [self._send(record) for record in records]
            positions = [self._acknowledged(future, deadline_s) for future in sent]
            self._commit(deadline_s)
        except KafkaError as error:
            raise self._meaning(error) from error
        return positions

    def close(self) -> None:
        """Disconnect; a transaction that is open is aborted by whoever opens the name next, or by Kafka in a while."""
        drop(self._client)

    def _send(self, record: Record) -> Any:
        headers = list(record.headers)
        return self._client.send(record.topic, record.value, record.key, headers, partition=record.partition)

    def _acknowledged(self, future: Any, deadline_s: float) -> Position:
        found = future.get(timeout=max(0.0, deadline_s - time.monotonic()))
        return Position(found.partition, found.offset)

    def _commit(self, deadline_s: float) -> None:
        # What `commit_transaction` does, but for the time limit: that one waits for ever for a broker that hangs.
        manager, sender = self._client._transaction_manager, self._client._sender  # noqa: SLF001
        result = manager.begin_commit()
        sender.wakeup()
        if not result.wait(timeout_ms=max(0.0, deadline_s - time.monotonic()) * 1000):
            raise BrokerUnavailable(f"Kafka did not commit within {self._within_s:g} s")

    def _meaning(self, error: KafkaError) -> BillingError:
        # The error itself may be the consequence only; the manager keeps the cause.
        cause = self._client._transaction_manager.last_error  # noqa: SLF001
        if isinstance(error, _SHUT_OUT) or isinstance(cause, _SHUT_OUT):
            return OwnershipLost(f"another process has opened {self._name}, or Kafka aborted what took too long")
        return translated(error)
