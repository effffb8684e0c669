"""The rows, one per idempotency key: parallel numpy columns under an open-addressing index of 128-bit hashes.

row: hash(service, subscription, metric, key) → (aggregate, quantity, revision, time, source offset, distinct)
≈ 56 bytes and ≈ 8 to 16 more in the index. The hash is seeded per store, so nobody can craft keys that collide.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.store import kernels

Column = NDArray[np.generic]

COLUMN_TYPES: dict[str, type[np.generic]] = {
    "low": np.uint64,
    "high": np.uint64,
    "aggregate": np.int32,
    "quantity": np.int64,
    "revision": np.int32,
    "time": np.int64,
    "source": np.int64,
    "distinct": np.uint64,
}
_ROWS_MIN = 4096
_GROWTH = 1.5
_LOAD_MAX = 0.7


@dataclass(frozen=True, slots=True)
class RowBatch:
    """A batch ready for the kernel: the columns of `COLUMN_TYPES` but for the source offset."""

    low: Column
    high: Column
    aggregate: Column
    quantity: Column
    revision: Column
    time: Column
    distinct: Column

    def __len__(self) -> int:
        """Number of counters."""
        return len(self.low)


class Rows:
    """The columns and their index. `size` rows are in use; arrays are longer and grow by half."""

    def __init__(self) -> None:
        self.size = 0
        self.columns: dict[str, Column] = {name: np.zeros(_ROWS_MIN, kind) for name, kind in COLUMN_TYPES.items()}
        self.slots: NDArray[np.int32] = _slots_for(_ROWS_MIN)

    @classmethod
    def load(cls, columns: dict[str, Column]) -> "Rows":
        """Return rows made of saved columns; the index is rebuilt."""
        rows = cls()
        rows.size = len(columns["low"])
        rows.columns = {name: np.array(columns[name], kind) for name, kind in COLUMN_TYPES.items()}
        rows.reserve(_ROWS_MIN)
        rows._reindex()
        return rows

    def reserve(self, more: int) -> None:
        """Make room for `more` rows, in columns and index."""
        wanted = self.size + more
        capacity = len(self.columns["low"])
        if wanted > capacity:
            extra = max(wanted, int(capacity * _GROWTH)) - capacity
            for name, column in self.columns.items():
                self.columns[name] = np.concatenate([column, np.zeros(extra, column.dtype)])
        if wanted > len(self.slots) * _LOAD_MAX:
            self._reindex()

    def used(self, name: str) -> Column:
        """Return the part of a column that is in use (a view)."""
        return self.columns[name][: self.size]

    def used_bytes(self) -> int:
        """Bytes held by columns and index, reserve included."""
        return sum(column.nbytes for column in self.columns.values()) + self.slots.nbytes

    def _reindex(self) -> None:
        self.slots = _slots_for(max(self.size + 1, len(self.columns["low"])))
        kernels.reindex(self.slots, self.columns["low"], self.size)


def _slots_for(rows: int) -> NDArray[np.int32]:
    """Return free slots, a power of two that `rows` fill to at most the load limit."""
    count = 1
    while count * _LOAD_MAX < rows:
        count *= 2
    return np.full(count, -1, np.int32)
