"""The aggregates: one per service, subscription, metric and billing period, with exact sums and dirty marks."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNASSIGNED = -1
"""Period start of counters whose subscription the catalog does not know yet."""

_START = 1024
_ARRAYS = ("sum_high", "sum_low", "count", "changed", "dirty")


class AggregateKey(NamedTuple):
    """What an aggregate is of; the period [start, end) in microseconds since 1970 UTC, or `UNASSIGNED`."""

    service: str
    subscription: str
    metric: str
    period_start: int
    period_end: int


class Aggregates:
    """Numbered aggregates and their parallel arrays, by number.

    sum_high, sum_low: the sum of the fitting quantities in two words (`kernels`); count: keys in the aggregate;
    changed: source offset of the last change; dirty: 0, or the sequence number of the last mark, so that a flag is
    cleared only if nothing happened since it was read.
    """

    def __init__(self) -> None:
        self.keys: list[AggregateKey] = []
        self.sequence = 0
        self.arrays: dict[str, NDArray[np.int64]] = {name: np.zeros(_START, np.int64) for name in _ARRAYS}
        self._numbers: dict[tuple[str, str, str, int], int] = {}
        self._of_subscription: dict[tuple[str, str], list[int]] = {}

    @classmethod
    def load(cls, keys: Iterable[AggregateKey], arrays: dict[str, NDArray[np.int64]], sequence: int) -> "Aggregates":
        """Return saved aggregates under their old numbers."""
        aggregates = cls()
        for key in keys:
            aggregates.number(key)
        for name in _ARRAYS:
            aggregates.arrays[name][: len(aggregates.keys)] = arrays[name]
        aggregates.sequence = sequence
        return aggregates

    def __len__(self) -> int:
        """Number of aggregates."""
        return len(self.keys)

    def number(self, key: AggregateKey) -> int:
        """Return the aggregate's number, a new one at its first sight; a changed period end is taken over."""
        found = self._numbers.get(key[:4])
        if found is not None:
            self.keys[found] = key
            return found
        number = len(self.keys)
        if number == len(self.arrays["count"]):
            for name, array in self.arrays.items():
                self.arrays[name] = np.concatenate([array, np.zeros(number, np.int64)])
        self.keys.append(key)
        self._numbers[key[:4]] = number
        self._of_subscription.setdefault(key[:2], []).append(number)
        return number

    def find(self, name: tuple[str, str, str, int]) -> int | None:
        """Return the number of the aggregate with this service, subscription, metric and period start, if known."""
        return self._numbers.get(name)

    def of_subscription(self, service: str, subscription: str) -> list[int]:
        """Return the numbers of all aggregates of one subscription."""
        return self._of_subscription.get((service, subscription), [])

    def mark(self, number: int, offset: int | None = None) -> None:
        """Mark an aggregate dirty; `offset` says that its value changed with that source record."""
        self.sequence += 1
        self.arrays["dirty"][number] = self.sequence
        if offset is not None:
            self.arrays["changed"][number] = offset

    def mark_since(self, number: int, offset: int) -> None:
        """Mark an aggregate dirty whose value changed with a source record that is not younger than its last change."""
        self.mark(number, max(offset, int(self.arrays["changed"][number])))

    def marked(self) -> list[tuple[int, int]]:
        """Return (number, mark) of all dirty aggregates, oldest mark first."""
        dirty = self.arrays["dirty"][: len(self.keys)]
        numbers = np.flatnonzero(dirty)
        order = numbers[np.argsort(dirty[numbers], kind="stable")]
        return list(zip(order.tolist(), dirty[order].tolist(), strict=True))

    def unmark(self, number: int, mark: int) -> None:
        """Clear a dirty flag, unless the aggregate was marked again since `marked` returned it."""
        if self.arrays["dirty"][number] == mark:
            self.arrays["dirty"][number] = 0

    def fixed_sum(self, number: int) -> int:
        """Return the exact sum of the fitting quantities, in units of the fixed scale."""
        return (int(self.arrays["sum_high"][number]) << 32) + int(self.arrays["sum_low"][number])

    def add(self, number: int, fixed: int, count: int) -> None:
        """Add to an aggregate's exact sum and to its number of counters."""
        total = self.fixed_sum(number) + fixed
        self.arrays["sum_high"][number], self.arrays["sum_low"][number] = total >> 32, total & 0xFFFFFFFF
        self.arrays["count"][number] += count
