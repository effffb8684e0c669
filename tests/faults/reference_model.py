"""What the meter must come to, in plain Python: dicts, Decimals and its own parsing. Shares no code with the product.

One service, subscriptions that are billed by calendar month in UTC, and one charge on most of the metrics.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

SERVICE = "maps"
DIGITS_MAX = 30
METRICS = {"calls": "sum", "peak": "max", "level": "last", "seats": "unique_count", "credits": "sum"}
ALLOWS_NEGATIVE = {"credits"}
# charge → metric, model, quota, batch, price, tiers
CHARGES: dict[str, tuple[str, str, str, str, str, list[tuple[str | None, str]]]] = {
    "calls-fee": ("calls", "standard", "500", "10", "0.10", []),
    "peak-fee": ("peak", "package", "0", "7", "2.00", []),
    "level-fee": ("level", "volume", "5", "1", "0", [("50", "0.5"), (None, "0.3")]),
    "seats-fee": ("seats", "graduated", "1", "1", "0", [("3", "10"), (None, "4.005")]),
}


@dataclass(slots=True)
class Value:
    """What an idempotency key stands at."""

    quantity: Decimal
    start: datetime
    revision: int
    order: int
    seat: Any


@dataclass(slots=True)
class Model:
    """Told every record that was acknowledged, in the order of each partition, it knows all totals."""

    values: dict[tuple[str, str, str], Value] = field(default_factory=dict)
    rejected: dict[tuple[int, int], list[tuple[int | None, str]]] = field(default_factory=dict)
    _order: int = 0

    def take(self, partition: int, offset: int, raw: bytes) -> None:
        """One record of the usage log."""
        try:
            batch = json.loads(raw, parse_float=Decimal)
            rows = batch["counters"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.rejected[partition, offset] = [(None, "malformed_batch")]
            return
        for index, row in enumerate(rows):
            reason = self._take_counter(row)
            if reason is not None:
                self.rejected.setdefault((partition, offset), []).append((index, reason))

    def totals(self) -> dict[str, tuple[Decimal, int]]:
        """Quantity and number of counters by the key of the totals topic."""
        groups: dict[str, list[tuple[str, Value]]] = {}
        for (subscription, metric, key), value in self.values.items():
            start, _ = month_of(value.start)
            groups.setdefault(f"{SERVICE}/{subscription}/{metric}/{zulu(start)}", []).append((key, value))
        with localcontext(prec=100):
            return {
                name: (_aggregate(METRICS[name.rsplit("/", 2)[1]], each), len(each)) for name, each in groups.items()
            }

    def overages(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Total and amount by the key of the overage topic."""
        found = {}
        for name, (quantity, _) in self.totals().items():
            subscription, metric, start = name.rsplit("/", 2)
            for charge, terms in CHARGES.items():
                if terms[0] == metric:
                    found[f"{subscription}/{charge}/{start}"] = (quantity, amount_of(quantity, terms))
        return found

    def _take_counter(self, row: dict[str, Any]) -> str | None:
        quantity = Decimal(row["quantity"])
        if not quantity.is_finite() or quantity.adjusted() >= DIGITS_MAX:
            return "bad_quantity"
        if quantity < 0 and row["metric"] not in ALLOWS_NEGATIVE:
            return "negative_quantity"
        self._order += 1
        name = (row["subscription"], row["metric"], row["idempotency_key"])
        value = Value(
            quantity,
            datetime.fromisoformat(row["period_start"]),
            row.get("revision", 0),
            self._order,
            row.get("properties", {}).get("seat") if METRICS[row["metric"]] == "unique_count" else None,
        )
        known = self.values.get(name)
        if known is not None:
            if value.revision < known.revision:
                return None
            as_before = (known.quantity, known.start, known.revision, known.seat)
            if as_before == (value.quantity, value.start, value.revision, value.seat):
                return None
        self.values[name] = value
        return None


def amount_of(quantity: Decimal, terms: tuple[str, str, str, str, str, list[tuple[str | None, str]]]) -> Decimal:
    """The definition of the four models, cent by cent."""
    with localcontext(prec=100):
        return _amount(quantity, terms)


def _amount(quantity: Decimal, terms: tuple[str, str, str, str, str, list[tuple[str | None, str]]]) -> Decimal:
    _, model, quota, batch, price, tiers = terms
    over = max(Decimal(0), quantity - Decimal(quota))
    if model == "standard":
        amount = _batches(over, batch) * Decimal(price)
    elif model == "package":
        amount = _batches(max(Decimal(0), quantity), batch) * Decimal(price)
    elif model == "volume":
        fitting = next(each for up_to, each in tiers if up_to is None or over <= Decimal(up_to))
        amount = _batches(over, batch) * Decimal(fitting)
    else:
        amount, lower = Decimal(0), Decimal(0)
        for up_to, each in tiers:
            upper = over if up_to is None else min(over, Decimal(up_to))
            if upper > lower:
                amount += _batches(upper - lower, batch) * Decimal(each)
                lower = upper
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def month_of(instant: datetime) -> tuple[datetime, datetime]:
    """The calendar month, half-open."""
    start = instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start, end


def zulu(instant: datetime) -> str:
    """RFC 3339 in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def catalog(subscriptions: list[str]) -> dict[str, dict[str, Any]]:
    """Catalog records, by key, that say what this model assumes."""
    records: dict[str, dict[str, Any]] = {
        "plan/1": {"kind": "plan", "id": 1, "name": "Monthly", "unit": "month", "count": 1}
    }
    for number, (code, aggregation) in enumerate(METRICS.items(), 1):
        records[f"metric/{number}"] = {
            "kind": "metric",
            "id": number,
            "service": SERVICE,
            "code": code,
            "name": code,
            "aggregation": aggregation,
            "unique_property": "seat" if aggregation == "unique_count" else None,
            "allow_negative": code in ALLOWS_NEGATIVE,
        }
    for number, (code, (metric, model, quota, batch, price, tiers)) in enumerate(CHARGES.items(), 1):
        records[f"charge/{number}"] = {
            "kind": "charge",
            "id": number,
            "code": code,
            "name": code,
            "service": SERVICE,
            "metric": metric,
            "plan_code": "business",
            "product": 1,
            "included_quota": quota,
            "price_per_unit": price,
            "unit_batch": batch,
            "charge_model": model,
            "currency": "CAD",
            "tiers": [{"up_to": up_to, "price_per_unit": each} for up_to, each in tiers],
        }
    for number, name in enumerate(subscriptions, 1):
        records[f"subscription/{number}"] = {
            "kind": "subscription",
            "id": number,
            "service": SERVICE,
            "external_id": name,
            "partner": 1,
            "plan": 1,
            "plan_code": "business",
            "currency": "CAD",
            "state": "3_progress",
            "anchor": "2026-01-01",
        }
    return records


def _batches(units: Decimal, batch: str) -> int:
    return -int(-units // Decimal(batch)) if units % Decimal(batch) == 0 else int(units // Decimal(batch)) + 1


def _aggregate(kind: str, group: list[tuple[str, Value]]) -> Decimal:
    values = [value for _, value in group]
    if kind == "sum":
        return sum((value.quantity for value in values), Decimal(0))
    if kind == "max":
        return max(value.quantity for value in values)
    if kind == "unique_count":
        return Decimal(len({value.seat for value in values}))
    return max(values, key=lambda value: (value.start, value.revision, value.order)).quantity
