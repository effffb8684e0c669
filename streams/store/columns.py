"""The rows, one per idempotency key: parallel numpy columns under an open-addressing index of 128-bit hashes.

row: hash(service, subscription, metric, key) → (aggregate, quantity, revision, time, place, distinct, length)
= 44 bytes, up to 20 more where revisions, distinct values and lengths are in use, and 6 to 12 in the index. The hash is
seeded per store, so nobody can craft keys that collide. place: where in the log the value came, the offset and within
its record; length: from start to end in microseconds, of counters whose metric splits them.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.store import kernels
from streams.store.extremes import Extremes
from streams.store.memory import GrowingArray

Column = NDArray[Any]

COLUMN_TYPES: dict[str, type[np.generic]] = {
    "low": np.uint64,
    "high": np.uint64,
    "aggregate": np.int32,
    "quantity": np.int64,
    "revision": np.int32,
    "time": np.int64,
    "place": np.int64,
    "distinct": np.uint64,
    "length": np.int64,
}
_ROWS_MIN = 4096
_GROWTH = 1.5
_LOAD_MAX = 0.7
_NO_SLOTS = np.zeros(1, np.uint32)
# Twice as many slots have room for as many new rows as there are; at two moved for each new one, all are in time. Each
# may touch a page of the new index for the first time, which is most of what a step of growth costs.
_MOVED_PER_ROW = 2
_MOVED_MIN = 8192


class RowBatch(NamedTuple):
    """A batch ready for the kernel: the columns of `COLUMN_TYPES` in their order."""

    low: Column
    high: Column
    aggregate: Column
    quantity: Column
    revision: Column
    time: Column
    place: Column
    distinct: Column
    length: Column


class Rows:
    """The columns and their index. `size` rows are in use; arrays are longer and grow by half.

    The index grows by a second one of twice the size, to which each batch moves some rows: no step takes long. Until
    all have moved, `former` finds the others.
    """

    def __init__(self, capacity: int = _ROWS_MIN) -> None:
        self.size = 0
        self.extremes = Extremes()
        self._arrays = {name: GrowingArray(kind, max(capacity, _ROWS_MIN)) for name, kind in COLUMN_TYPES.items()}
        self.columns: dict[str, Column] = {name: array.array for name, array in self._arrays.items()}
        self.slots = _slots_for(max(capacity, _ROWS_MIN))
        self.former = _NO_SLOTS
        self._moved = 0
        self._moving = 0

    def reserve(self, more: int) -> None:
        """Make room for `more` rows, in columns and index."""
        wanted = self.size + more
        capacity = len(self.columns["low"])
        if wanted > capacity:
            self._grow(max(wanted, int(capacity * _GROWTH)))
        if wanted > len(self.slots) * _LOAD_MAX:
            self._move(self._moving)
            self.former, self._moved, self._moving = self.slots, 0, self.size
            self.slots = _slots_for(wanted)
        self._move(max(_MOVED_PER_ROW * more, _MOVED_MIN))

    def fill(self, size: int) -> None:
        """Take `size` rows that somebody has written into the columns, and enter them into the empty index."""
        self.size = size
        kernels.enter(self.slots, self.columns["low"], self.columns["high"], 0, size)

    def take_from(self, others: "Rows", first: int, chosen: Column) -> None:
        """Append the chosen rows of others, from `first` on, and index them; there must be room."""
        end = self.size + int(np.count_nonzero(chosen))
        for name, column in self.columns.items():
            part = others.columns[name][first : first + len(chosen)][chosen]
            # Pages that nobody writes to cost none.
            if part.any():
                column[self.size : end] = part
        kernels.enter(self.slots, self.columns["low"], self.columns["high"], self.size, end)
        self.size = end

    def used(self, name: str) -> Column:
        """Return the part of a column that is in use (a view)."""
        return self.columns[name][: self.size]

    def used_bytes(self) -> int:
        """Bytes held by columns and index; what lies ready and was never touched does not count."""
        return sum(self.used(name).nbytes for name in self.columns) + self.slots.nbytes + self.former.nbytes

    def _grow(self, capacity: int) -> None:
        self.columns = {}
        for array in self._arrays.values():
            array.grow(capacity)
        self.columns = {name: array.array for name, array in self._arrays.items()}

    def _move(self, count: int) -> None:
        """Enter the next `count` rows of the former index into the new one."""
        end = min(self._moved + count, self._moving)
        if self._moved < end:
            kernels.enter(self.slots, self.columns["low"], self.columns["high"], self._moved, end)
            self._moved = end
        if self._moved == self._moving:
            self.former = _NO_SLOTS


def _slots_for(rows: int) -> NDArray[np.uint32]:
    """Return free slots, a power of two that `rows` fill to at most the load limit."""
    count = 1
    while count * _LOAD_MAX < rows:
        count *= 2
    return np.zeros(count, np.uint32)
