"""The deliveries of one partition: what is known of each, and which may be attempted now. Pure, one thread.

A *lane* is one subscription's events to one endpoint, in the order of their sequence: its first delivery is
attempted, the others wait until that one is delivered or dead, and no other lane waits for it. An event without
subscription has a lane of its own.
"""

import heapq
from bisect import insort
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from schemas.events import Delivery, DeliveryState
from schemas.identifiers import delivery_key
from sinks.webhooks.state import Age, age_of, is_repeated_fan_out, newer, restated


class Lane(NamedTuple):
    """What must stay in order: `subject` is the subscription, or the event id where there is none."""

    endpoint_id: int
    has_subscription: bool
    subject: str


def lane_of(delivery: Delivery) -> Lane:
    """Return the lane a delivery waits in."""
    if delivery.subscription is None:
        return Lane(delivery.endpoint_id, has_subscription=False, subject=delivery.event_id)
    return Lane(delivery.endpoint_id, has_subscription=True, subject=delivery.subscription)


def key_of(delivery: Delivery) -> str:
    """Return the key of a delivery's record."""
    return delivery_key(delivery.event_id, delivery.endpoint_id)


class Book:
    """Knows the age of every delivery and holds the pending ones.

    Whoever gets a delivery from `take_due` hands its next state to `settle` (after it is written), or puts the
    lane off with `hold`; until then the lane rests.
    """

    def __init__(self) -> None:
        self._ages: dict[str, Age] = {}
        self._pending: dict[str, Delivery] = {}
        self._lanes: dict[Lane, list[tuple[int, str]]] = {}
        self._due: list[tuple[datetime, Lane]] = []  # may hold outdated entries; checked when they come up
        self._busy: set[Lane] = set()

    def __len__(self) -> int:
        """Return the number of pending deliveries."""
        return len(self._pending)

    def apply(self, delivery: Delivery) -> Delivery | None:
        """Take in a state as read; return the state to write again if an outdated one was written behind it."""
        key = key_of(delivery)
        known = self._ages.get(key)
        if known is None or newer(delivery, known):
            self._put(key, delivery)
            return None
        if is_repeated_fan_out(delivery, known):
            return self._pending.get(key) or restated(delivery, known)
        return None

    def forget(self, key: str) -> None:
        """Take in a tombstone."""
        self._ages.pop(key, None)
        pending = self._pending.pop(key, None)
        if pending is not None:
            self._leave_lane(key, pending)

    def take_due(self, now: datetime) -> Iterator[Delivery]:
        """Yield the first delivery of each lane whose time has come, and keep these lanes busy."""
        while self._due and self._due[0][0] <= now:
            _, lane = heapq.heappop(self._due)
            head = self._head(lane)
            if head is None or lane in self._busy:
                continue
            if _due_at(head) > now:
                heapq.heappush(self._due, (_due_at(head), lane))
                continue
            self._busy.add(lane)
            yield head

    def next_due_at(self) -> datetime | None:
        """Return when `take_due` may yield again, at the earliest; null: nothing waits."""
        return self._due[0][0] if self._due else None

    def settle(self, delivery: Delivery) -> None:
        """Take in the state after an attempt; the lane goes on with its first delivery."""
        key = key_of(delivery)
        known = self._ages.get(key)
        if known is not None and newer(delivery, known):
            self._put(key, delivery)
        self._free(lane_of(delivery))

    def hold(self, delivery: Delivery, until: datetime) -> None:
        """Put a delivery off without an attempt; not written, a restart looks at once."""
        key = key_of(delivery)
        if key in self._pending:
            self._pending[key] = self._pending[key].model_copy(update={"next_attempt_at": until})
        self._free(lane_of(delivery))

    def _put(self, key: str, delivery: Delivery) -> None:
        self._ages[key] = age_of(delivery)
        before = self._pending.pop(key, None)
        if delivery.state is not DeliveryState.PENDING:
            if before is not None:
                self._leave_lane(key, before)
            return
        self._pending[key] = delivery
        lane = lane_of(delivery)
        if before is None:
            insort(self._lanes.setdefault(lane, []), (delivery.sequence, key))
        self._wake(lane)

    def _leave_lane(self, key: str, delivery: Delivery) -> None:
        lane = lane_of(delivery)
        waiting = self._lanes[lane]
        waiting.remove((delivery.sequence, key))
        if not waiting:
            del self._lanes[lane]
        self._wake(lane)

    def _free(self, lane: Lane) -> None:
        self._busy.discard(lane)
        self._wake(lane)

    def _wake(self, lane: Lane) -> None:
        head = self._head(lane)
        if head is not None and lane not in self._busy:
            heapq.heappush(self._due, (_due_at(head), lane))

    def _head(self, lane: Lane) -> Delivery | None:
        waiting = self._lanes.get(lane)
        return self._pending[waiting[0][1]] if waiting else None


def _due_at(delivery: Delivery) -> datetime:
    return delivery.next_attempt_at or delivery.created_at
