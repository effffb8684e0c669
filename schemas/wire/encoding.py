"""Counters to the value of one usage record, always as columns."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.money import format_decimal
from schemas.periods import format_instant
from schemas.usage import SCHEMA_VERSION, Counter
from schemas.wire.columns import compact

if TYPE_CHECKING:
    from datetime import datetime

_INT64 = 2**63

# Decimals among the properties stay numbers: as text they would be other values on the way back.
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_batch(service: str, counters: Iterable[Counter]) -> bytes:
    """Return the value of one usage record, in columns; the caller sees to one partition and at most 10,000."""
    subscriptions: dict[str, int] = {}
    metrics: dict[str, int] = {}
    periods: dict[tuple[datetime, datetime], int] = {}
    columns: dict[str, list[Any]] = {name: [] for name in ("subscription", "metric", "period", "keys", "quantities")}
    revisions: list[int] = []
    properties: list[dict[str, Any] | None] = []
    for counter in counters:
        columns["subscription"].append(subscriptions.setdefault(counter.subscription, len(subscriptions)))
        columns["metric"].append(metrics.setdefault(counter.metric, len(metrics)))
        interval = (counter.period_start, counter.period_end)
        columns["period"].append(periods.setdefault(interval, len(periods)))
        columns["keys"].append(counter.idempotency_key)
        columns["quantities"].append(_quantity(counter.quantity))
        revisions.append(counter.revision)
        properties.append(counter.properties or None)
    document: dict[str, Any] = {
        "subscriptions": list(subscriptions),
        "metrics": list(metrics),
        "periods": [[format_instant(start), format_instant(end)] for start, end in periods],
        **columns,
    }
    if any(revisions):
        document["revisions"] = revisions
    if any(properties):
        document["properties"] = properties
    return _encoder.encode({"schema_version": SCHEMA_VERSION, "service": service, "columns": document})


def _quantity(quantity: Decimal) -> int | str:
    number = compact(quantity)
    return number if isinstance(number, int) and -_INT64 <= number < _INT64 else format_decimal(quantity)
