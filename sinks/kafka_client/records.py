"""Records as the sinks see them."""

from typing import NamedTuple

from schemas.cloudevents import Headers


class Record(NamedTuple):
    """One record as read; `timestamp_ms` is the broker's or producer's, since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def header(self, name: str) -> bytes | None:
        """Return the first header of that name."""
        return next((value for key, value in self.headers if key == name), None)


class Outgoing(NamedTuple):
    """One record to write; `partition` null lets murmur2 of the key decide; `value` null is a tombstone."""

    key: str
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()
