"""Records, acknowledgements and the port through which producers hand them to Kafka."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.cloudevents import Headers
from schemas.errors import BillingError

RECORD_BYTES_MAX = 1_000_000
"""Largest record we send: below the broker's default `message.max.bytes` of 1 MiB, with room for the batch header."""


class RecordTooLarge(BillingError):
    """One record exceeds what the broker takes; the same record will never fit."""


class Position(NamedTuple):
    """Where a record was written."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record on its way to Kafka. Without `partition` the key decides (murmur2, as everywhere)."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: Headers = ()


class RecordProducer(Protocol):
    """Takes records and says when each is durable. Safe to share between threads."""

    def partitions(self, topic: str) -> int:
        """Return the topic's number of partitions.

        Raises:
            BrokerUnavailable: Kafka did not say so in time.
        """
        ...

    def send(self, record: Record) -> Future[Position]:
        """Queue a record; the future is done once all in-sync replicas have it.

        A future fails with `BrokerUnavailable` (the record may or may not be in the log; sending it again is safe
        for all our records) or `RecordTooLarge`. It cannot be cancelled.

        Raises:
            BrokerUnavailable: nothing was queued: Kafka is away, or too much is unacknowledged already.
            RecordTooLarge: nothing was queued.
        """
        ...

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is queued; tell whether that came true in time."""
        ...
