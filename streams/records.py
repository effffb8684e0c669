"""Kafka records as the meter passes them around, free of any client library."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a log."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


Positions = dict[tuple[str, int], int]
"""(topic, partition) → the next offset."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish; `partition` null leaves it to the key."""

    topic: str
    key: bytes | None
    value: bytes
    partition: int | None = None
