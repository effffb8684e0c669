"""Instants at the border: RFC 3339 in UTC outside, naive UTC in Odoo's columns."""

from datetime import date, datetime, timezone


def parse_instant(value, field):
    """Return an RFC 3339 instant as naive UTC, cut to whole seconds; raise ValueError naming `field` otherwise."""
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{field} must be an RFC 3339 date-time") from None
    if instant.tzinfo is None:
        raise ValueError(f"{field} must carry an offset")
    return instant.astimezone(timezone.utc).replace(tzinfo=None, microsecond=0)


def parse_date(value, field):
    """Return an ISO date; raise ValueError naming `field` otherwise."""
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{field} must be a date like 2026-07-01") from None


def format_instant(instant):
    """Return a naive UTC instant as RFC 3339 with Z."""
    return instant.isoformat() + "Z"
