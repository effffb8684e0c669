"""The records between `send` and their acknowledgement: bounded, timed, and each settled exactly once."""

import threading
from concurrent.futures import Future
from typing import NamedTuple

from producers.kafka_client.records import Position
from schemas.errors import BillingError, BrokerUnavailable


class _Waiting(NamedTuple):
    future: Future[Position]
    size_bytes: int
    sent_at_s: float


class Unacked:
    """Futures by number, oldest first. Whoever takes one out settles it, so a late answer finds nothing to do."""

    def __init__(self, records_max: int, size_bytes_max: int) -> None:
        self._records_max = records_max
        self._size_bytes_max = size_bytes_max
        self._waiting: dict[int, _Waiting] = {}
        self._size_bytes = 0
        self._next_number = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Number of records that wait."""
        return len(self._waiting)

    def add(self, size_bytes: int, now_s: float) -> tuple[int, Future[Position]]:
        """Take in a record and return its number and future; raise BrokerUnavailable when there is no room."""
        future: Future[Position] = Future()
        future.set_running_or_notify_cancel()  # a waiter that gives up must not cancel what Kafka still answers
        with self._changed:
            if len(self._waiting) >= self._records_max or self._size_bytes + size_bytes > self._size_bytes_max:
                raise BrokerUnavailable("too many records wait for Kafka's acknowledgement")
            number = self._next_number
            self._next_number += 1
            self._size_bytes += size_bytes
            self._waiting[number] = _Waiting(future, size_bytes, now_s)
        return number, future

    def settle(self, number: int, position: Position) -> None:
        """Tell the sender where its record is."""
        if waiting := self._take(number):
            waiting.future.set_result(position)

    def fail(self, number: int, error: BillingError) -> None:
        """Tell the sender that its record may not be in the log."""
        if waiting := self._take(number):
            waiting.future.set_exception(error)

    def fail_all(self, error: BillingError) -> None:
        """Fail whatever waits."""
        for number in list(self._waiting):
            self.fail(number, error)

    def forget(self, number: int) -> None:
        """Take out a record that was not sent after all; nobody has its future."""
        self._take(number)

    def oldest_age_s(self, now_s: float) -> float:
        """Return how long the oldest record has been waiting, 0 when none is."""
        with self._changed:
            oldest = next(iter(self._waiting.values()), None)
        return now_s - oldest.sent_at_s if oldest else 0.0

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until nothing waits; tell whether that came true in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def _take(self, number: int) -> _Waiting | None:
        with self._changed:
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                self._size_bytes -= waiting.size_bytes
                if not self._waiting:
                    self._changed.notify_all()
        return waiting
