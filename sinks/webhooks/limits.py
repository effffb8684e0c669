"""What protects an endpoint from us and us from it: rate, breaker, and a fair share of what one worker can do. Pure.

Times are seconds of a monotonic clock. `scale` shrinks all waits together with the schedule, for tests.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

_WINDOW_S = 300.0
_WINDOW_ANSWERS_MAX = 100
_FAILURES_SHARE = 0.7
_ANSWERS_MIN = 10
_OPEN_FIRST_S = 30.0
_OPEN_LAST_S = 900.0
_BURST_S = 2.0


class TokenBucket:
    """Lets `rate_per_s` attempts pass, and two seconds' worth at once after a pause."""

    def __init__(self, rate_per_s: float, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = max(1.0, _BURST_S * rate_per_s)
        self._tokens = self._burst
        self._filled_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Seconds until an attempt may start; 0 now."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._rate_per_s)
        self._filled_s = now_s
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate_per_s

    def take(self) -> None:
        """Note an attempt."""
        self._tokens -= 1


class Breaker:
    """Stops sending to an endpoint that mostly fails.

    At least 70 % failures among at least 10 answers of five minutes open it for 30 s; then one probe: a success
    closes it, a failure opens it for twice as long, 15 minutes at most.
    """

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._answers: deque[tuple[float, bool]] = deque()
        self._failures = 0  # among them
        self._open_until_s: float | None = None
        self._open_s = _OPEN_FIRST_S * scale

    @property
    def is_closed(self) -> bool:
        """Tell whether attempts flow freely."""
        return self._open_until_s is None

    def wait_s(self, now_s: float) -> float:
        """Seconds until an attempt may start; 0 now (if it is not closed: one, the probe)."""
        return 0.0 if self._open_until_s is None else max(0.0, self._open_until_s - now_s)

    def note(self, *, success: bool, now_s: float) -> None:
        """Take in an answer."""
        if self._open_until_s is not None:
            if now_s < self._open_until_s:
                return  # an attempt that had started before it opened
            self._answers.clear()
            self._failures = 0
            if success:
                self._open_until_s, self._open_s = None, _OPEN_FIRST_S * self._scale
            else:
                self._open_s = min(2 * self._open_s, _OPEN_LAST_S * self._scale)
                self._open_until_s = now_s + self._open_s
            return
        self._answers.append((now_s, success))
        self._failures += not success
        while self._answers[0][0] < now_s - _WINDOW_S or len(self._answers) > _WINDOW_ANSWERS_MAX:
            _, was_success = self._answers.popleft()
            self._failures -= not was_success
        if len(self._answers) >= _ANSWERS_MIN and self._failures >= _FAILURES_SHARE * len(self._answers):
            self._open_until_s = now_s + self._open_s


class Trust(IntEnum):
    """What an endpoint's answers have shown so far; the lower, the sooner it is served."""

    PROVEN = 0  # its last answer was a success
    FRESH = 1  # there was none yet
    SUSPECT = 2  # its last attempt failed (another worker's, too), or one has not been answered for a second


@dataclass(slots=True)
class Slot:
    """One attempt's place among those that a worker makes at a time; counted under `trust`."""

    trust: Trust


class Slots:
    """How many attempts one worker makes at a time, shared out so that hanging endpoints leave room for the others.

    Of all slots a quarter is for fresh endpoints and a quarter for suspect ones; proven ones may take any. Whoever
    has not answered for a second counts as suspect from then on, up to half of all, so that those who hang do not hold
    up others of their kind.
    """

    def __init__(self, slots_max: int) -> None:
        self._max = slots_max
        self._share_max = max(1, slots_max // 4)
        self._slow_max = max(1, slots_max // 2)
        self._taken = dict.fromkeys(Trust, 0)

    def take(self, trust: Trust) -> Slot | None:
        """Return a slot, or null if there is none for endpoints of this kind."""
        is_free = trust is Trust.PROVEN or self._taken[trust] < self._share_max
        if sum(self._taken.values()) >= self._max or not is_free:
            return None
        self._taken[trust] += 1
        return Slot(trust)

    def note_slow(self, slot: Slot) -> None:
        """Count the attempt at an endpoint that does not answer as that of a suspect one, if there is room."""
        if self._taken[Trust.SUSPECT] < self._slow_max:
            self._taken[slot.trust] -= 1
            self._taken[Trust.SUSPECT] += 1
            slot.trust = Trust.SUSPECT

    def give_back(self, slot: Slot) -> None:
        """Free a slot."""
        self._taken[slot.trust] -= 1
