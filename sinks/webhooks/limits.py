"""What protects an endpoint from us and us from it: rate, breaker, and a fair share of what one worker can do. Pure.

Times are seconds of a monotonic clock. `scale` shrinks all waits together with the schedule, for tests.
"""

from collections import deque

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


class Slots:
    """How many attempts one worker makes at a time.

    Endpoints whose last answer was no success share half of them, so that any number of hanging ones leaves the
    other half to those that answer.
    """

    def __init__(self, slots_max: int) -> None:
        self._max = slots_max
        self._doubtful_max = max(1, slots_max // 2)
        self._taken = 0
        self._doubtful = 0

    def take(self, *, is_proven: bool) -> bool:
        """Take a slot if there is one."""
        if self._taken >= self._max or (not is_proven and self._doubtful >= self._doubtful_max):
            return False
        self._taken += 1
        self._doubtful += not is_proven
        return True

    def give_back(self, *, is_proven: bool) -> None:
        """Free a slot that was taken with the same `is_proven`."""
        self._taken -= 1
        self._doubtful -= not is_proven
