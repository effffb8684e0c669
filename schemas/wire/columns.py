"""Checked counters of one batch, as columns: what decoding returns and the meter works on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.errors import Reason
from schemas.usage import Counter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class CounterColumns:
    """Checked counters of one batch; the plural lists are dictionaries that the singular ones index.

    `periods` holds (start, end) in microseconds since 1970 UTC; `quantities` int where whole, else Decimal, all
    exact and bounded; `revisions` null means all 0; `properties` null means none anywhere; `indexes` are the
    positions in the published batch, null meaning 0, 1, 2, …
    """

    service: str
    subscriptions: Sequence[str]
    metrics: Sequence[str]
    periods: Sequence[tuple[int, int]]
    subscription: Sequence[int]
    metric: Sequence[int]
    period: Sequence[int]
    keys: Sequence[str]
    quantities: Sequence[int | Decimal]
    revisions: Sequence[int] | None = None
    properties: Sequence[dict[str, Any] | None] | None = None
    indexes: Sequence[int] | None = None

    def __len__(self) -> int:
        """Number of counters."""
        return len(self.keys)

    def index_of(self, position: int) -> int:
        """Return the position in the published batch of the counter at `position` here."""
        return position if self.indexes is None else self.indexes[position]

    def select(self, positions: Sequence[int]) -> "CounterColumns":
        """Return the counters at these positions; the dictionaries stay as they are."""
        return replace(
            self,
            subscription=[self.subscription[i] for i in positions],
            metric=[self.metric[i] for i in positions],
            period=[self.period[i] for i in positions],
            keys=[self.keys[i] for i in positions],
            quantities=[self.quantities[i] for i in positions],
            revisions=self.revisions and [self.revisions[i] for i in positions],
            properties=self.properties and [self.properties[i] for i in positions],
            indexes=[self.index_of(i) for i in positions],
        )


@dataclass(frozen=True, slots=True)
class RefusedCounter:
    """One counter of a batch that was refused: its position (null: the whole batch), the field and why."""

    index: int | None
    reason: Reason
    field: str | None
    message: str


def to_micros(instant: datetime) -> int:
    """Return an aware instant as microseconds since 1970 UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the UTC instant of `to_micros`."""
    return _EPOCH + timedelta(microseconds=micros)


def to_counters(columns: CounterColumns) -> list[Counter]:
    """Return checked columns as counters, one object each."""
    return [
        Counter(
            subscription=columns.subscriptions[columns.subscription[i]],
            metric=columns.metrics[columns.metric[i]],
            quantity=Decimal(columns.quantities[i]),
            period_start=from_micros(columns.periods[columns.period[i]][0]),
            period_end=from_micros(columns.periods[columns.period[i]][1]),
            idempotency_key=columns.keys[i],
            revision=columns.revisions[i] if columns.revisions else 0,
            properties=(columns.properties[i] if columns.properties else None) or {},
        )
        for i in range(len(columns))
    ]


def compact(number: Decimal) -> int | Decimal:
    """Return a whole number as int: what the store's columns take without a detour."""
    return int(number) if number == number.to_integral_value() else number
