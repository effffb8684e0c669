"""When a delivery that failed is tried again. Pure: time and randomness are arguments."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# compatible, unit 60 s:
# attempt   1    2    3    4     5     6     7      8
# wait      2m   4m   8m   16m   32m   64m   128m   (dead)
# since     0    2m   6m   14m   30m   62m   126m   254m
_COMPATIBLE_ATTEMPTS = 8
_UNIT_S = 60.0

# long, fixed:
# attempt   1   2   3   4    5   6   7    8    9    10   11
# wait      5s  1m  5m  30m  2h  5h  10h  14h  20h  24h  (dead)
_LONG_WAITS_S = (5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)

_JITTER = 0.2
_WAIT_MAX_S = 24 * 3600.0
_THROTTLED_MIN_S = 60.0  # after 429 or a time-out, whatever the table says


@dataclass(frozen=True, slots=True)
class Schedule:
    """Waits between attempts: entry n - 1 follows attempt n; after the last attempt the delivery is dead.

    `throttled_min_s`: least wait after an answer that says "slower".
    """

    waits_s: tuple[float, ...]
    throttled_min_s: float

    @property
    def attempts_max(self) -> int:
        """Attempts in all."""
        return len(self.waits_s) + 1


def schedule_of(name: str, first_wait_s: float) -> Schedule:
    """Return the schedule ``compatible`` (2^n times `first_wait_s`) or ``long`` (fixed table)."""
    if name == "long":
        return Schedule(_LONG_WAITS_S, _THROTTLED_MIN_S)
    waits_s = tuple(first_wait_s * 2.0**attempt for attempt in range(1, _COMPATIBLE_ATTEMPTS))
    return Schedule(waits_s, _THROTTLED_MIN_S * scale_of(name, first_wait_s))


def scale_of(name: str, first_wait_s: float) -> float:
    """Return by how much all waits are shrunk: 1 in production, less where tests shorten the compatible schedule."""
    return 1.0 if name == "long" else min(1.0, first_wait_s / _UNIT_S)


def wait_after(
    schedule: Schedule, attempt: int, *, jitter: float, retry_after_s: float | None = None, throttled: bool = False
) -> float | None:
    """Seconds to wait after failed attempt `attempt` (from 1), or null: no attempt is left.

    Args:
        schedule: the table.
        attempt: the one that failed.
        jitter: a random number in [0, 1): spreads the wait over ±20 %.
        retry_after_s: the receiver's wish; obeyed between the table's wait and twice that, at most a day.
        throttled: the answer asked for less, or there was none in time.
    """
    if attempt >= schedule.attempts_max:
        return None
    base_s = schedule.waits_s[attempt - 1]
    wait_s = base_s * (1 + _JITTER * (2 * jitter - 1))
    if retry_after_s is not None:
        wait_s = max(wait_s, min(retry_after_s, 2 * base_s))
    if throttled:
        wait_s = max(wait_s, schedule.throttled_min_s)
    return min(wait_s, _WAIT_MAX_S)


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Return the seconds a Retry-After header asks for, or null for none, garbage and the past."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        instant = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    wait = instant - now
    return wait.total_seconds() if wait > timedelta() else None
