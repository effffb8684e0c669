"""The unacknowledged counters of one partition, in the order in which they were added.

A lane lets go of counters only as an acknowledged prefix. If a record fails, the records behind it are sent again
after it, also those that Kafka has acknowledged already: otherwise the retry of an old value would land behind a newer
value of the same key and replace it. No I/O and no clock here; the client calls with its lock held.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from schemas.cloudevents import Headers
from schemas.usage import Counter


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How a client packs and how much it holds. Times in seconds, sizes in bytes."""

    counters_per_record: int = 500
    record_bytes: int = 512 * 1024
    linger_s: float = 0.2
    unacknowledged_counters: int = 50_000
    unacknowledged_bytes: int = 64 * 1024 * 1024
    block_s: float = 30.0
    ack_timeout_s: float = 10.0


class Held(NamedTuple):
    """A counter that was added and not acknowledged; `sequence` counts the adds of the client."""

    sequence: int
    added_at_s: float
    size_bytes: int
    counter: Counter


class BatchState(Enum):
    """Where one record stands."""

    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Batch:
    """The counters of one record; `value` and `headers` are made when it is first sent."""

    held: list[Held]
    state: BatchState = BatchState.QUEUED
    value: bytes | None = None
    headers: Headers = ()


class Lane:
    """See the module."""

    def __init__(self, limits: ClientLimits) -> None:
        self._limits = limits
        self._packing: list[Held] = []
        self._packing_bytes = 0
        self._batches: deque[Batch] = deque()
        self._retry_at_s = 0.0

    def put(self, held: Held) -> None:
        """Take a counter; a full record is closed first."""
        full = len(self._packing) >= self._limits.counters_per_record
        if self._packing and (full or self._packing_bytes + held.size_bytes > self._limits.record_bytes):
            self.close_record()
        self._packing.append(held)
        self._packing_bytes += held.size_bytes
        if len(self._packing) >= self._limits.counters_per_record:
            self.close_record()

    def close_record(self) -> None:
        """Make a record of what is being packed."""
        if self._packing:
            self._batches.append(Batch(self._packing))
            self._packing, self._packing_bytes = [], 0

    def take_sendable(self, now_s: float) -> list[Batch]:
        """Return the records to send now, in order, and count them as sent."""
        at_s = self.sendable_at_s()
        if at_s is None or at_s > now_s:
            return []
        if any(batch.state is BatchState.FAILED for batch in self._batches):
            for batch in self._batches:
                batch.state = BatchState.QUEUED
        sendable = [batch for batch in self._batches if batch.state is BatchState.QUEUED]
        for batch in sendable:
            batch.state = BatchState.SENT
        return sendable

    def sendable_at_s(self) -> float | None:
        """Return when `take_sendable` has something; null: not before an acknowledgement or another counter."""
        states = {batch.state for batch in self._batches}
        if BatchState.FAILED in states:
            return None if BatchState.SENT in states else self._retry_at_s
        return 0.0 if BatchState.QUEUED in states else None

    def mark_acknowledged(self, batch: Batch) -> list[Held]:
        """Note an acknowledgement; return the counters that are safe now."""
        batch.state = BatchState.ACKNOWLEDGED
        safe: list[Held] = []
        while self._batches and self._batches[0].state is BatchState.ACKNOWLEDGED:
            safe += self._batches.popleft().held
        return safe

    def mark_failed(self, batch: Batch, retry_at_s: float) -> None:
        """Note a failure: the lane waits for its other records' fate, then sends again from its head."""
        batch.state = BatchState.FAILED
        self._retry_at_s = retry_at_s

    def split(self, batch: Batch) -> bool:
        """Replace a record that the broker finds too large by its halves; false if it holds one counter."""
        middle = len(batch.held) // 2
        if not middle:
            return False
        position = self._batches.index(batch)
        self._batches.remove(batch)
        for half in (batch.held[middle:], batch.held[:middle]):
            self._batches.insert(position, Batch(half, BatchState.FAILED))
        return True

    def packing_first(self) -> tuple[int, float] | None:
        """Return the sequence and time of the oldest counter that is in no record yet."""
        return self._packing[0][:2] if self._packing else None

    def first_sequence(self) -> int | None:
        """Return the sequence of the oldest counter held."""
        return next((held.sequence for held in self.held()), None)

    def held(self) -> Iterator[Held]:
        """All counters held, oldest first."""
        for batch in self._batches:
            yield from batch.held
        yield from self._packing
