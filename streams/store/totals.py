"""Exact totals of aggregates: sums kept as running numbers, the others read from the rows.

Max and last look at what has changed (`extremes`); if a replaced counter has lowered one, they take a pass over the
rows, one for all aggregates together: 2 ns per row of the partition. Unique count always takes one, with 60 ns more per
row whose distinct value counts.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext

import numpy as np

from schemas.catalog import Aggregation
from schemas.money import DECIMAL_CONTEXT
from streams.store import kernels
from streams.store.aggregates import Aggregates
from streams.store.closed import Base
from streams.store.columns import Column, Rows
from streams.store.fixed_point import from_fixed

_ZERO = Decimal(0)
_NO_ROWS = np.zeros(0, np.int64)

_NEVER = (-1, -1, -1)

Kinds = Mapping[int, Aggregation]
Bases = Mapping[int, Base]
_NO_BASES: Bases = {}


def totals(
    rows: Rows, aggregates: Aggregates, wide: Mapping[int, Decimal], kinds: Kinds, bases: Bases = _NO_BASES
) -> dict[int, Decimal]:
    """Return the total of each aggregate in `kinds`, by number; `wide` holds the rows whose value does not fit.

    `bases` is what dropped rows came to. Left out is what cannot be told from it.
    """
    with localcontext(DECIMAL_CONTEXT):
        of_aggregate = _wide_of(rows, wide, kinds)
        found = {
            number: sum(of_aggregate.get(number, ()), from_fixed(aggregates.fixed_sum(number)))
            for number, kind in kinds.items()
            if kind is Aggregation.SUM
        }
        for number in found.keys() & bases.keys():
            found[number] += bases[number].wide
        scanned = {number: kind for number, kind in kinds.items() if kind is not Aggregation.SUM}
        if scanned:
            found |= _Scan(rows, wide, len(aggregates), scanned).totals(of_aggregate, bases)
        return found


def closing_bases(
    rows: Rows, aggregates: Aggregates, wide: Mapping[int, Decimal], kinds: Kinds, bases: Bases
) -> dict[int, Base]:
    """Return what the rows of these aggregates, and those dropped before, come to."""
    with localcontext(DECIMAL_CONTEXT):
        of_aggregate = _wide_of(rows, wide, kinds)
        scan = _Scan(rows, wide, len(aggregates), dict.fromkeys(kinds, Aggregation.MAX))
        unique = {number: kind for number, kind in kinds.items() if kind is Aggregation.UNIQUE_COUNT}
        distinct = _Scan(rows, wide, len(aggregates), unique).totals({}, bases)
        return {
            number: scan.base(number, aggregates, of_aggregate.get(number, []), bases.get(number), distinct)
            for number in kinds
        }


def resum(rows: Rows, aggregates: Aggregates, numbers: Iterable[int], bases: Bases = _NO_BASES) -> None:
    """Compute sum and count of some aggregates anew from their rows, and what dropped rows came to."""
    arrays, wanted = aggregates.arrays, set(numbers)
    kernels.resum(
        (rows.columns["aggregate"], rows.columns["quantity"]),
        (arrays["sum_high"], arrays["sum_low"], arrays["count"]),
        rows.size,
        flags(len(aggregates), wanted),
    )
    for number in wanted & bases.keys():
        aggregates.add(number, bases[number].fixed, bases[number].counters)


def flags(size: int, numbers: Iterable[int]) -> Column:
    """Return an array that is true at these numbers."""
    flagged = np.zeros(size, np.bool_)
    flagged[list(numbers)] = True
    return flagged


class _Scan:
    """One look at the rows for all aggregates that want max or last, one for those that want distinct values."""

    def __init__(self, rows: Rows, wide: Mapping[int, Decimal], size: int, kinds: Kinds) -> None:
        self._rows, self._wide, self._kinds = rows, wide, kinds
        self._greatest = self._last = _NO_ROWS
        self._distinct = np.zeros(size, np.int64)
        unique = {number for number, kind in kinds.items() if kind is Aggregation.UNIQUE_COUNT}
        if extreme := kinds.keys() - unique:
            self._greatest, self._last = rows.extremes.find(rows.columns, rows.size, extreme, size)
        if unique:
            counted = rows.columns["aggregate"], rows.columns["distinct"]
            kernels.count_distinct(counted, rows.size, flags(size, unique), self._distinct)

    def totals(self, wide: Mapping[int, list[Decimal]], bases: Bases) -> dict[int, Decimal]:
        """Return all totals that can be told; `wide` holds the values that do not fit their column, by aggregate."""
        found = {
            number: self._total(number, kind, wide.get(number, []), bases.get(number))
            for number, kind in self._kinds.items()
        }
        return {number: total for number, total in found.items() if total is not None}

    def base(
        self,
        number: int,
        aggregates: Aggregates,
        wide: list[Decimal],
        former: Base | None,
        distinct: Mapping[int, Decimal],
    ) -> Base:
        """Return what an aggregate comes to, with all that was dropped of it before."""
        order, last = self._latest(number, former)
        return Base(
            counters=int(aggregates.arrays["count"][number]),
            fixed=aggregates.fixed_sum(number),
            wide=sum(wide, _ZERO if former is None else former.wide),
            greatest=self._most(number, wide, former),
            order=order,
            last=last,
            distinct=int(distinct[number]) if number in distinct else None,
        )

    def _total(self, number: int, kind: Aggregation, wide: list[Decimal], former: Base | None) -> Decimal | None:
        match kind:
            case Aggregation.MAX:
                return self._most(number, wide, former)
            case Aggregation.LAST:
                return self._latest(number, former)[1]
            case _:
                distinct = int(self._distinct[number])
                if former is None:
                    return Decimal(distinct)
                # Whether values are new, the dropped rows alone could tell.
                return None if distinct or former.distinct is None else Decimal(former.distinct)

    def _most(self, number: int, wide: list[Decimal], former: Base | None) -> Decimal:
        before = [] if former is None else [former.greatest]
        return max([*before, *wide, *self._value(int(self._greatest[number]))], default=_ZERO)

    def _latest(self, number: int, former: Base | None) -> tuple[tuple[int, int, int], Decimal]:
        """Return where the last value came (time, revision, place), and the value."""
        row = int(self._last[number])
        found = (_NEVER, _ZERO) if former is None else (former.order, former.last)
        if row < 0:
            return found
        time, revision, place = (int(self._rows.columns[name][row]) for name in ("time", "revision", "place"))
        order = time, revision, place
        return found if former is not None and order < former.order else (order, self._value(row)[0])

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
