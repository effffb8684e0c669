"""The store's promise in plain words: one dict of last values, totals computed anew from it each time."""

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction

from schemas.catalog import Aggregation

DAY = 86_400_000_000

Name = tuple[str, str]
"""Subscription and metric."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a key stands at."""

    quantity: Decimal
    time: int
    revision: int
    offset: int
    position: int
    seat: str | None
    length: int = 0  # microseconds, of counters that are split


@dataclass(slots=True)
class NaiveStore:
    """Keys and their values; `months` false means that the subscription's periods are years."""

    values: dict[tuple[str, str, str], Value] = field(default_factory=dict)
    yearly: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    seen: set[tuple[str, str, str]] = field(default_factory=set)

    def put(self, subscription: str, metric: str, key: str, value: Value) -> None:
        """Greater revision wins, among equals the later one; the same again changes nothing."""
        full = (subscription, metric, key)
        known = self.values.get(full)
        if known is not None:
            if value.revision < known.revision:
                return
            unchanged = (known.quantity, known.time, known.revision, known.seat, known.length)
            if unchanged == (value.quantity, value.time, value.revision, value.seat, value.length):
                return
        self.values[full] = value

    def period_of(self, subscription: str, time: int) -> str | None:
        """Name the billing period of an instant; null while the subscription is unknown."""
        if subscription in self.unknown:
            return None
        instant = datetime.fromtimestamp(time // 1_000_000, UTC)
        return f"{instant:%Y}" if subscription in self.yearly else f"{instant:%Y-%m}"

    def parts(self, subscription: str, value: Value) -> dict[str, Decimal]:
        """Divide a value over the periods that it reaches into, day by day; a shorter one lies within one of them."""
        first = self.period_of(subscription, value.time)
        if first is None:
            return {}
        if not DAY <= value.length <= 100 * DAY:
            return {first: value.quantity}
        days: dict[str, int] = {}
        for at in range(value.time, value.time + value.length, DAY):
            period = self.period_of(subscription, at) or ""
            days[period] = days.get(period, 0) + 1
        return divided(value.quantity, days)

    def totals(self, kinds: dict[str, Aggregation]) -> dict[tuple[str, str, str], tuple[Decimal, int]]:
        """Total and number of keys by (subscription, metric, period), of those that have any."""
        groups: dict[tuple[str, str, str], list[tuple[str, Value]]] = {}
        for (subscription, metric, key), value in self.values.items():
            for period, part in self.parts(subscription, value).items():
                groups.setdefault((subscription, metric, period), []).append((key, replace(value, quantity=part)))
        with localcontext(prec=100):
            return {name: (_total(kinds[name[1]], group), len(group)) for name, group in groups.items()}


def divided(quantity: Decimal, shares: dict[str, int]) -> dict[str, Decimal]:
    """Divide exactly: whole units towards zero, then one each to the greatest fractions, the earlier first."""
    digits = max(6, len(f"{quantity:f}".partition(".")[2].rstrip("0")))
    unit = Fraction(1, 10**digits)
    exact = {period: abs(Fraction(quantity)) * share / sum(shares.values()) / unit for period, share in shares.items()}
    units = {period: math.floor(each) for period, each in exact.items()}
    missing = sum(exact.values()) - sum(units.values())
    for period in sorted(exact, key=lambda period: exact[period] - units[period], reverse=True)[: int(missing)]:
        units[period] += 1
    sign = "-" if quantity < 0 else ""
    return {period: Decimal(f"{sign}{each}E-{digits}") for period, each in units.items()}


def _total(kind: Aggregation, group: list[tuple[str, Value]]) -> Decimal:
    values = [value for _, value in group]
    match kind:
        case Aggregation.SUM:
            return sum((value.quantity for value in values), Decimal(0))
        case Aggregation.MAX:
            return max(value.quantity for value in values)
        case Aggregation.UNIQUE_COUNT:
            return Decimal(len({value.seat for value in values}))
        case _:
            order = max(values, key=lambda value: (value.time, value.revision, value.offset, value.position))
            return order.quantity
