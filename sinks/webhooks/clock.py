"""Both clocks: times that are written down come from `now`, waits are measured on `monotonic`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sinks.webhooks.glance import Stated


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks of a role; tests put their own in their place."""

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic

    def due_s(self, delivery: Stated) -> float:
        """Return when a state is due, on the monotonic clock; overdue ones keep their order.

        A first attempt is due at once, also where the event's clock is ahead of ours.
        """
        wait_s = ((delivery.next_attempt_at or delivery.created_at) - self.now()).total_seconds()
        return self.monotonic() + (wait_s if delivery.attempts else min(wait_s, 0.0))
