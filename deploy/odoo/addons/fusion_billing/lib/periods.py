"""Billing periods as people read them."""

from datetime import timedelta, timezone
from zoneinfo import ZoneInfo


def shown_days(start, end, time_zone):
    """Return first and last day, both inclusive, of the period [start, end), naive UTC, in a time zone."""
    zone = ZoneInfo(time_zone)
    last = end - timedelta(seconds=1)
    return tuple(instant.replace(tzinfo=timezone.utc).astimezone(zone).date() for instant in (start, last))
