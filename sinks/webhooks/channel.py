"""One endpoint's connections, limits and queue; nothing here is shared with another endpoint."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sinks.webhooks.book import Book, Entry
from sinks.webhooks.http import EndpointClient
from sinks.webhooks.limits import Breaker, TokenBucket, Trust
from sinks.webhooks.state import attempts_in, created_at_in


@dataclass(slots=True)
class Channel:
    """What is on its way to one endpoint, and what waits for its turn.

    `trust`: what its last answer was. Until it has proved itself it gets one attempt at a time.
    """

    endpoint_id: int
    client: EndpointClient
    bucket: TokenBucket
    breaker: Breaker
    in_flight_max: int
    opened_s: float
    waiting: deque[tuple[Book, Entry]] = field(default_factory=deque)
    in_flight: int = 0
    trust: Trust = Trust.FRESH
    paused_until_s: float = 0.0
    timer: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Tell whether no further attempt may start before one ends."""
        return self.in_flight >= (self.in_flight_max if self.trust is Trust.PROVEN and self.breaker.is_closed else 1)

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits, flies or is remembered against it."""
        return not self.waiting and not self.in_flight and self.breaker.is_closed

    def enqueue(self, book: Book, entry: Entry) -> None:
        """Let a delivery wait for its turn; one that has failed before casts doubt on an endpoint not yet known."""
        self.waiting.append((book, entry))
        if self.trust is Trust.FRESH and attempts_in(entry.age):
            self.trust = Trust.SUSPECT

    def wait_s(self, now_s: float) -> float:
        """Seconds until its limits let an attempt start; 0 now."""
        return max(self.paused_until_s - now_s, self.breaker.wait_s(now_s), self.bucket.wait_s(now_s), 0.0)

    def take_older(self, before: datetime, limit: int) -> Iterator[tuple[Book, Entry]]:
        """Take out of the queue at most `limit` deliveries that were created before `before`."""
        old = [pair for pair in self.waiting if created_at_in(pair[1].age) < before][:limit]
        if old:
            gone = {id(entry) for _, entry in old}
            self.waiting = deque(pair for pair in self.waiting if id(pair[1]) not in gone)
        yield from old
