"""Idempotency keys that come out the same on every try, on every machine."""

import hashlib
from datetime import datetime
from urllib.parse import quote

from schemas.identifiers import EXTERNAL_ID_BYTES_MAX, check_code, check_external_id
from schemas.periods import check_instant, format_instant, parse_instant


def counter_key(subscription: str, metric: str, period_start: datetime | str, source: str = "") -> str:
    """Return the key of the counter of one subscription and metric that starts at `period_start`.

    The same arguments give the same key, so a retry or a correction replaces the earlier value instead of adding to
    it. The reverse of that: two processes that each count a *part* of the same subscription, metric and period must
    each pass their own `source` (a host or shard name that survives restarts), else the second replaces the first.

    Shape: ``metric/period start in UTC/source, percent-encoded/subscription``; a key that would exceed 255 bytes
    carries the SHA-256 of its last two parts instead.

    Raises:
        ValueError: an argument no counter could carry.
    """
    check_external_id(subscription)
    instant = parse_instant(period_start) if isinstance(period_start, str) else _aware(period_start)
    head = f"{check_code(metric)}/{format_instant(instant)}/"
    tail = f"{quote(source, safe='')}/{subscription}"
    if len((head + tail).encode()) > EXTERNAL_ID_BYTES_MAX:
        tail = "sha256:" + hashlib.sha256(tail.encode()).hexdigest()
    return head + tail


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("period_start must carry an offset, like Z or +02:00")
    return check_instant(instant)
