"""Counters that reach over the end of their billing period, of metrics that have them split.

Such a counter is one row, in the aggregate of its start, and counts there in full for the compiled loops. What has to
move from there to the aggregates of later periods is kept here, row by row, and added to the aggregates' sums. It is
rare, so it costs counters of other metrics, and those within one period, nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from schemas.catalog import Metric
from schemas.money import DECIMAL_CONTEXT
from streams.domain.splitting import divide, divided, splits
from streams.store import treatments
from streams.store.aggregates import Aggregates
from streams.store.places import Catalog, Span

_SPLIT, _WHOLE = "split", "whole"
_ROW_BYTES = 300

Moves = tuple[tuple[int, int | Decimal], ...]
"""What splitting one row adds to aggregates, by number: first to that of its start, which gives away as much as the
others get. An integer at the fixed scale; a decimal if the row's quantity does not fit there.
"""

Saved = list[tuple[int, list[tuple[int, int | str]]]]


def moves_of(span: Span, fixed: int, wide: Decimal | None) -> Moves:
    """Return what splitting a quantity over a span moves; `wide` is the quantity if it does not fit the fixed scale."""
    numbers, weights = zip(*span, strict=True)
    with localcontext(DECIMAL_CONTEXT):
        parts: list[int | Decimal] = [*(divide(fixed, weights) if wide is None else divided(wide, weights))]
        parts[0] -= fixed if wide is None else wide
    return tuple(zip(numbers, parts, strict=True))


def parts(amount: int | Decimal) -> tuple[int, Decimal]:
    """Return what of an amount counts at the fixed scale, and what counts beside it; one of them is zero."""
    return (0, amount) if isinstance(amount, Decimal) else (amount, Decimal(0))


@dataclass(slots=True)
class Splits:
    """The rows that are split, and what that moves.

    treated: (service, metric) → whether its counters were split since the first of them came. A store that treated
    them otherwise than the catalog says now has to be made anew, as rows of other metrics do not tell where they end.
    beyond: by aggregate, the sum of what is moved and does not fit the fixed scale.
    """

    of_row: dict[int, Moves] = field(default_factory=dict)
    treated: dict[tuple[str, str], str] = field(default_factory=dict)
    beyond: dict[int, Decimal] = field(default_factory=dict)

    def note(self, metrics: Mapping[tuple[str, str], Metric | None]) -> None:
        """Note how counters of these metrics are treated that are taken in now."""
        for name, metric in metrics.items():
            treatments.note(self.treated, name, _treatment(metric))

    def outdated(self, catalog: Catalog) -> set[tuple[str, str]]:
        """Return (service, metric) of what is treated otherwise now; nothing, while the catalog does not know it."""
        metrics = {name: catalog.metric(*name) for name in self.treated}
        return {
            name for name, metric in metrics.items() if metric is not None and self.treated[name] != _treatment(metric)
        }

    def put(self, row: int, moves: Moves, aggregates: Aggregates, offset: int) -> None:
        """Split a row, which counts in full until now."""
        self.of_row[row] = moves
        self._count(moves, 1, aggregates)
        for number, _ in moves[1:]:
            aggregates.mark_since(number, offset)

    def drop(self, row: int, aggregates: Aggregates, offset: int) -> None:
        """Undo that a row is split, if it is."""
        if moves := self.of_row.pop(row, ()):
            self._count(moves, -1, aggregates)
            for number, _ in moves[1:]:
                aggregates.mark_since(number, offset)

    def added_to(self, sums: Mapping[int, Decimal]) -> dict[int, Decimal]:
        """Return those sums that lack what does not fit the fixed scale, with it."""
        with localcontext(DECIMAL_CONTEXT):
            return {number: sums[number] + self.beyond[number] for number in self.beyond.keys() & sums.keys()}

    def emptied(self) -> "Splits":
        """Return the same without any row."""
        return Splits(treated=self.treated)

    def reaching(self, numbers: Collection[int]) -> list[int]:
        """Return the split rows that count in any of these aggregates."""
        return [row for row, moves in self.of_row.items() if any(number in numbers for number, _ in moves)]

    def readd(self, aggregates: Aggregates, numbers: Collection[int]) -> None:
        """Add to these aggregates, whose sums were computed anew from rows alone, what is moved to and from them."""
        self.sum_beyond()
        for moves in self.of_row.values():
            for at, (number, amount) in enumerate(moves):
                if number in numbers:
                    aggregates.add(number, parts(amount)[0], min(at, 1))

    def sum_beyond(self) -> None:
        """Sum up anew what is moved and does not fit the fixed scale."""
        self.beyond = {}
        for moves in self.of_row.values():
            self._move_beyond(moves, 1)

    def counted(self) -> Iterator[int]:
        """Yield the aggregates in which split rows count besides that of their start, once for each row."""
        return (number for moves in self.of_row.values() for number, _ in moves[1:])

    def used_bytes(self) -> int:
        """About the bytes held."""
        return len(self.of_row) * _ROW_BYTES

    def save(self) -> Saved:
        """Return what to save of the rows."""
        return [
            (row, [(number, str(amount) if isinstance(amount, Decimal) else amount) for number, amount in moves])
            for row, moves in self.of_row.items()
        ]

    def load(self, saved: Saved) -> None:
        """Take over what was saved of the rows; the aggregates' sums have it already."""
        for row, moves in saved:
            self.of_row[row] = tuple(
                (number, Decimal(amount) if isinstance(amount, str) else amount) for number, amount in moves
            )
        self.sum_beyond()

    def _count(self, moves: Moves, sign: int, aggregates: Aggregates) -> None:
        self._move_beyond(moves, sign)
        for at, (number, amount) in enumerate(moves):
            aggregates.add(number, sign * parts(amount)[0], sign * min(at, 1))

    def _move_beyond(self, moves: Moves, sign: int) -> None:
        with localcontext(DECIMAL_CONTEXT):
            for number, amount in moves:
                if wide := parts(amount)[1]:
                    self.beyond[number] = self.beyond.get(number, Decimal(0)) + sign * wide


def _treatment(metric: Metric | None) -> str:
    return _SPLIT if splits(metric) else _WHOLE
