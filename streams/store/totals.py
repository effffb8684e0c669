"""Exact totals of aggregates: sums kept as running numbers, the others read from the rows.

Max and last take one pass over the rows for all changed aggregates together, unique count another one, as a replaced
counter may have lowered them: 2 ns per row of the partition, 60 ns more per row whose distinct value counts.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext

import numpy as np

from schemas.catalog import Aggregation
from schemas.money import DECIMAL_CONTEXT
from streams.store import kernels
from streams.store.aggregates import Aggregates
from streams.store.columns import Column, Rows
from streams.store.fixed_point import from_fixed

_ZERO = Decimal(0)

Kinds = Mapping[int, Aggregation]


def totals(rows: Rows, aggregates: Aggregates, wide: Mapping[int, Decimal], kinds: Kinds) -> dict[int, Decimal]:
    """Return the total of each aggregate in `kinds`, by number; `wide` holds the rows whose value does not fit."""
    with localcontext(DECIMAL_CONTEXT):
        of_aggregate = _wide_of(rows, wide, kinds)
        found = {
            number: sum(of_aggregate.get(number, ()), from_fixed(aggregates.fixed_sum(number)))
            for number, kind in kinds.items()
            if kind is Aggregation.SUM
        }
        scanned = {number: kind for number, kind in kinds.items() if kind is not Aggregation.SUM}
        if scanned:
            found |= _Scan(rows, wide, len(aggregates), scanned).totals(of_aggregate)
        return found


def resum(rows: Rows, aggregates: Aggregates, numbers: Iterable[int]) -> None:
    """Compute sum and count of some aggregates anew from their rows."""
    arrays = aggregates.arrays
    kernels.resum(
        (rows.columns["aggregate"], rows.columns["quantity"]),
        (arrays["sum_high"], arrays["sum_low"], arrays["count"]),
        rows.size,
        flags(len(aggregates), numbers),
    )


def flags(size: int, numbers: Iterable[int]) -> Column:
    """Return an array that is true at these numbers."""
    flagged = np.zeros(size, np.bool_)
    flagged[list(numbers)] = True
    return flagged


class _Scan:
    """One pass over the rows for all aggregates that want max or last, one for those that want distinct values."""

    def __init__(self, rows: Rows, wide: Mapping[int, Decimal], size: int, kinds: Kinds) -> None:
        self._rows, self._wide, self._kinds = rows, wide, kinds
        self._greatest, self._last = np.full(size, -1, np.int64), np.full(size, -1, np.int64)
        self._distinct = np.zeros(size, np.int64)
        unique = {number for number, kind in kinds.items() if kind is Aggregation.UNIQUE_COUNT}
        if extreme := kinds.keys() - unique:
            scanned = tuple(rows.columns[name] for name in ("aggregate", "quantity", "revision", "time", "place"))
            kernels.extremes(scanned, rows.size, flags(size, extreme), self._greatest, self._last)
        if unique:
            counted = rows.columns["aggregate"], rows.columns["distinct"]
            kernels.count_distinct(counted, rows.size, flags(size, unique), self._distinct)

    def totals(self, wide: Mapping[int, list[Decimal]]) -> dict[int, Decimal]:
        """Return all totals; `wide` holds the values that do not fit their column, by aggregate."""
        return {number: self._total(number, kind, wide.get(number, [])) for number, kind in self._kinds.items()}

    def _total(self, number: int, kind: Aggregation, wide: list[Decimal]) -> Decimal:
        match kind:
            case Aggregation.MAX:
                return max([*wide, *self._value(int(self._greatest[number]))], default=_ZERO)
            case Aggregation.LAST:
                return next(iter(self._value(int(self._last[number]))), _ZERO)
            case _:
                return Decimal(int(self._distinct[number]))

    def _value(self, row: int) -> list[Decimal]:
        """Return a row's value; none for no row."""
        if row < 0:
            return []
        return [self._wide[row] if row in self._wide else from_fixed(int(self._rows.columns["quantity"][row]))]


def _wide_of(rows: Rows, wide: Mapping[int, Decimal], numbers: Kinds) -> dict[int, list[Decimal]]:
    found: dict[int, list[Decimal]] = {}
    for row, value in wide.items():
        number = int(rows.columns["aggregate"][row])
        if number in numbers:
            found.setdefault(number, []).append(value)
    return found
