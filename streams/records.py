"""Kafka records as the meter passes them around, free of any client library."""

from dataclasses import dataclass

import msgspec

from schemas.cloudevents import Headers


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of a log; `timestamp_ms` (since 1970 UTC) is 0 where nobody asked for it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int = 0


Positions = dict[tuple[str, int], int]
"""(topic, partition) → the next offset."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish; `partition` null leaves it to the key."""

    topic: str
    key: bytes | None
    value: bytes
    partition: int | None = None
    headers: Headers = ()
