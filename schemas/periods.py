"""Instants and billing periods. Periods are half-open, `[start, end)`, and instants aware and in UTC.

Boundaries are local midnights counted from the anchor, never from the boundary before: 31 January, 28 February,
31 March. Source: DESIGN 6 and Lago's documented anniversary billing.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_YEAR_FIRST, _YEAR_LAST = 1970, 9000
INSTANT_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
_INSTANT = re.compile(INSTANT_PATTERN[:-1] + r"\Z")
_MONTHS = {"month": 1, "year": 12}
_DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Period:
    """Billing period [start, end): start counts, end belongs to the next one. Both aware, UTC."""

    start: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        """Tell whether `instant` lies in the period."""
        return self.start <= instant < self.end


@dataclass(frozen=True, slots=True)
class Cycle:
    """How a subscription's periods repeat: every `count` `unit`s (day, week, month, year) from `anchor`."""

    anchor: date
    unit: str
    count: int
    time_zone: str


def parse_instant(text: str) -> datetime:
    """Return an RFC 3339 instant in UTC, to the microsecond; seconds may be left out.

    Raises:
        ValueError: no date-time, no offset, or a year outside 1971 to 8999.
    """
    # Python's own reading is laxer: week dates, commas, offsets with seconds.
    if not _INSTANT.match(text):
        raise ValueError("must be an RFC 3339 date-time with offset, like 2026-07-01T00:00:00Z")
    try:
        instant = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("must be an RFC 3339 date-time with offset, like 2026-07-01T00:00:00Z") from None
    return check_instant(instant)


def check_instant(instant: datetime) -> datetime:
    """Return an aware instant in UTC; raise ValueError for a year no counter can come from."""
    # The year is that of UTC; one more is let through before, as the first and last instants of all have no UTC.
    if _YEAR_FIRST <= instant.year <= _YEAR_LAST:
        in_utc = instant.astimezone(UTC)
        if _YEAR_FIRST < in_utc.year < _YEAR_LAST:
            return in_utc
    raise ValueError(f"must lie between the years {_YEAR_FIRST} and {_YEAR_LAST}")


def format_instant(instant: datetime) -> str:
    """Return RFC 3339 in UTC with Z; fractions of a second only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def period_of(instant: datetime, cycle: Cycle) -> Period:
    """Return the billing period that holds `instant`; periods go on before the anchor, too (early counters count)."""
    index = _estimate(instant, cycle)
    while instant < _boundary(cycle, index):
        index -= 1
    while instant >= _boundary(cycle, index + 1):
        index += 1
    return Period(_boundary(cycle, index), _boundary(cycle, index + 1))


def _estimate(instant: datetime, cycle: Cycle) -> int:
    """Return an index near the right one; `period_of` corrects it by a step or two."""
    if cycle.unit in _MONTHS:
        months = (instant.year - cycle.anchor.year) * 12 + instant.month - cycle.anchor.month
        return months // (_MONTHS[cycle.unit] * cycle.count)
    return (instant.date() - cycle.anchor).days // (_DAYS[cycle.unit] * cycle.count)


@lru_cache(maxsize=65536)
def _boundary(cycle: Cycle, index: int) -> datetime:
    """Return the first instant of the cycle's `index`-th period, in UTC."""
    if cycle.unit in _MONTHS:
        day = add_months(cycle.anchor, index * cycle.count * _MONTHS[cycle.unit])
    else:
        day = cycle.anchor + timedelta(days=index * cycle.count * _DAYS[cycle.unit])
    # fold=0 takes the first of a doubled midnight and the first instant after a missing one.
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(cycle.time_zone)).astimezone(UTC)


def add_months(anchor: date, months: int) -> date:
    """Return the anchor's day `months` later, clamped to the end of a shorter month."""
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    return date(year, month + 1, min(anchor.day, calendar.monthrange(year, month + 1)[1]))
