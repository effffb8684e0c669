"""The deliveries of one partition: what is known of each, and which may be attempted now. Pure, one thread.

A *lane* is one subscription's events to one endpoint, in the order of their sequence: its first delivery is
attempted, the others wait until that one is delivered or dead, and no other lane waits for it. An event without
subscription has a lane of its own.

Made to hold a million waiting deliveries: ≈ 1 kB each, of which the packed record is the smaller part. Due times are
seconds of a monotonic clock, so a wall clock that is set back or forward moves no retry.
"""

import heapq
from bisect import insort
from collections.abc import Iterator
from typing import NamedTuple

from schemas.events import Delivery, DeliveryState
from schemas.identifiers import delivery_key
from sinks.webhooks.glance import Stated, Whole, whole
from sinks.webhooks.packing import pack, unpack
from sinks.webhooks.state import age_of, restated

_AGE_BITS_MAX = 96
_AGE_MASK = (1 << _AGE_BITS_MAX) - 1
_UNPACKED_MAX = 25_000  # so many are held as they are, to save the time; the others packed, to save the room


class Seen(NamedTuple):
    """How a state came: its bytes, when it is due (monotonic seconds), when it was written (unix seconds)."""

    record: bytes
    due_s: float
    written_s: int


class Entry:
    """One waiting delivery: key → (lane, place in it, due time, age, state as it is or packed)."""

    __slots__ = ("age", "due_s", "key", "lane", "sequence", "state")

    def __init__(self, key: str, lane: str, sequence: int) -> None:
        self.key = key
        self.lane = lane
        self.sequence = sequence
        self.age = 0
        self.due_s = 0.0
        self.state = b""

    @property
    def endpoint_id(self) -> int:
        """Where it is to be sent."""
        return int(self.lane.partition(":")[0])

    def whole(self) -> Whole:
        """Return the state that waits, to be attempted."""
        return whole(unpack(self.state))

    def delivery(self) -> Delivery:
        """Return the state that waits, to be written again as it is."""
        return Delivery.model_validate_json(unpack(self.state))


def lane_of(delivery: Stated) -> str:
    """Return the name of the lane a delivery waits in; one text takes half the room of a tuple of three."""
    if delivery.subscription is None:
        return f"{delivery.endpoint_id}:event:{delivery.event_id}"
    return f"{delivery.endpoint_id}:subscription:{delivery.subscription}"


def key_of(delivery: Stated) -> str:
    """Return the key of a delivery's record."""
    return delivery_key(delivery.event_id, delivery.endpoint_id)


class Book:
    """Knows the age of every delivery and holds the pending ones.

    Whoever gets an entry from `take_due` hands its next state to `settle` after it is written; until then the lane
    rests. `is_closed`: the partition is gone, nothing in here may be sent any more.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._pending: dict[str, Entry] = {}
        self._ended: dict[str, int] = {}  # key → second it ended in and age, as one number; in that order
        self._lanes: dict[str, Entry | list[Entry]] = {}  # a list only where several wait
        self._due: list[tuple[float, str]] = []  # may hold outdated entries; checked when they come up
        self._busy: set[str] = set()

    def __len__(self) -> int:
        """Return the number of pending deliveries."""
        return len(self._pending)

    @property
    def ended(self) -> int:
        """Number of ended deliveries that are remembered."""
        return len(self._ended)

    def apply(self, delivery: Stated, seen: Seen) -> Delivery | None:
        """Take in a state as read; return the state to write again if an outdated one was written behind it."""
        key, age = key_of(delivery), age_of(delivery)
        entry = self._pending.get(key)
        known = entry.age if entry is not None else self._ended_age(key)
        if known is None or age > known:
            self._put(key, delivery, age, seen)
            return None
        if age == known:
            return None
        # Compaction keeps the last record, so the later state must be the last one again.
        return entry.delivery() if entry is not None else restated(Delivery.model_validate_json(seen.record), known)

    def newer_than(self, state: Delivery) -> Delivery | None:
        """Return the state to write again behind this one, which was written; null: it is the last word."""
        key = key_of(state)
        entry = self._pending.get(key)
        known = entry.age if entry is not None else self._ended_age(key)
        if known is None or age_of(state) >= known:
            return None
        return entry.delivery() if entry is not None else restated(state, known)

    def forget(self, key: str) -> Delivery | None:
        """Take in a tombstone; return the state to write again if the delivery was replayed just before it."""
        self._ended.pop(key, None)
        entry = self._pending.get(key)
        return None if entry is None else entry.delivery()

    def take_due(self, now_s: float) -> Iterator[Entry]:
        """Yield the first delivery of each lane whose time has come, and keep these lanes busy."""
        while self._due and self._due[0][0] <= now_s:
            _, lane = heapq.heappop(self._due)
            head = self._head(lane)
            if head is None or lane in self._busy:
                continue
            if head.due_s > now_s:
                heapq.heappush(self._due, (head.due_s, lane))
                continue
            self._busy.add(lane)
            yield head

    def next_due_s(self) -> float | None:
        """Return when `take_due` may yield again, at the earliest; null: nothing waits."""
        return self._due[0][0] if self._due else None

    def settle(self, entry: Entry, after: Stated, seen: Seen) -> Delivery | None:
        """Take in the state after an attempt; the lane goes on with its first delivery.

        Return the state to write again if the delivery was replayed meanwhile.
        """
        known, last_word = self._pending.get(entry.key), None
        age = age_of(after)
        if known is not None and age > known.age:
            self._put(entry.key, after, age, seen)
        elif known is not None and age < known.age:
            last_word = known.delivery()
        self._busy.discard(entry.lane)
        self._wake(entry.lane)
        return last_word

    def take_expired(self, before_s: int, limit: int) -> list[str]:
        """Return, and forget, the keys of at most `limit` deliveries that ended before `before_s` (unix seconds)."""
        expired: list[str] = []
        for key, ended in self._ended.items():
            if len(expired) == limit or ended >> _AGE_BITS_MAX >= before_s:
                break
            expired.append(key)
        for key in expired:
            del self._ended[key]
        return expired

    def _ended_age(self, key: str) -> int | None:
        ended = self._ended.get(key)
        return None if ended is None else ended & _AGE_MASK

    def _put(self, key: str, delivery: Stated, age: int, seen: Seen) -> None:
        entry = self._pending.get(key)
        if delivery.state is not DeliveryState.PENDING:
            self._ended.pop(key, None)
            self._ended[key] = seen.written_s << _AGE_BITS_MAX | age
            if entry is not None:
                del self._pending[key]
                self._leave(entry)
            return
        self._ended.pop(key, None)
        if entry is None:
            entry = self._pending[key] = Entry(key, lane_of(delivery), delivery.sequence)
            self._join(entry)
        entry.age, entry.due_s = age, seen.due_s
        entry.state = seen.record if len(self._pending) <= _UNPACKED_MAX else pack(seen.record)
        self._wake(entry.lane)

    def _join(self, entry: Entry) -> None:
        waiting = self._lanes.get(entry.lane)
        if waiting is None:
            self._lanes[entry.lane] = entry
        elif isinstance(waiting, Entry):
            first, second = sorted((waiting, entry), key=_place)
            self._lanes[entry.lane] = [first, second]
        else:
            insort(waiting, entry, key=_place)

    def _leave(self, entry: Entry) -> None:
        waiting = self._lanes[entry.lane]
        if isinstance(waiting, Entry) or len(waiting) == 1:
            del self._lanes[entry.lane]
            return
        waiting.remove(entry)
        self._wake(entry.lane)

    def _wake(self, lane: str) -> None:
        head = self._head(lane)
        if head is not None and lane not in self._busy:
            heapq.heappush(self._due, (head.due_s, lane))

    def _head(self, lane: str) -> Entry | None:
        waiting = self._lanes.get(lane)
        return waiting[0] if isinstance(waiting, list) else waiting


def _place(entry: Entry) -> tuple[int, str]:
    return entry.sequence, entry.key
