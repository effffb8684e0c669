"""Which row of an aggregate holds the greatest value and which the last: remembered from one look to the next.

A look goes through the rows that came or changed since the one before. Only where the row that was greatest or last
has been lowered, or has left its aggregate, does it take a pass over all rows: one, for all such aggregates together.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.store import kernels

_Column = NDArray[Any]

_COLUMNS = ("aggregate", "quantity", "revision", "time", "place")
# Going through so large a part of the rows one by one takes as long as a pass over all of them, unless they are few.
_CHANGED_SHARE_MAX = 1 / 8
_CHANGED_MIN = 1024
_NONE = np.zeros(0, np.int64)


class Extremes:
    """Remembers rows by aggregate; belongs to the rows it numbers. `passes` counts those over all rows.

    Holds no view of a column between two calls, as that would keep columns from growing in place.
    """

    def __init__(self) -> None:
        self.passes = 0
        self._is_known = np.zeros(0, np.bool_)
        # By aggregate: the two rows, -1 for none, then what made them so: value; time, revision, place.
        self._greatest, self._last = _NONE, _NONE
        self._marks = (_NONE, _NONE, _NONE, _NONE)
        self._seen = 0
        self._changed: list[_Column] = []
        self._changed_count = 0

    def note(self, rows: _Column, size: int) -> None:
        """Note which of `size` rows hold another value or belong to another aggregate now."""
        if not self._is_known.any():
            return
        self._changed.append(rows)
        self._changed_count += len(rows)
        if self._changed_count > max(size * _CHANGED_SHARE_MAX, _CHANGED_MIN):
            self._is_known[:] = False
            self._changed, self._changed_count = [], 0

    def forget(self, numbers: Iterable[int]) -> None:
        """Remember nothing of these aggregates: rows of theirs have moved."""
        self._is_known[[number for number in numbers if number < len(self._is_known)]] = False

    def find(
        self, columns: Mapping[str, _Column], size: int, wanted: Iterable[int], aggregates: int
    ) -> tuple[_Column, _Column]:
        """Return, by aggregate number, the row with the greatest fitting value and the last row; -1 for none.

        Args:
            columns: of the rows.
            size: how many rows are in use.
            wanted: numbers of the aggregates whose rows are asked for; what stands at others means nothing.
            aggregates: how many there are.
        """
        used = tuple(columns[name] for name in _COLUMNS)
        self._make_room(aggregates)
        if self._is_known.any():
            kernels.doubt_extremes(used, self._is_known, self._greatest, self._last, self._marks)
            changed = np.concatenate([_NONE, *self._changed])
            kernels.extremes_among(used, changed, self._is_known, self._greatest, self._last)
            kernels.extremes(used, self._seen, size, self._is_known, self._greatest, self._last)
        self._seen, self._changed, self._changed_count = size, [], 0
        unknown = np.zeros(aggregates, np.bool_)
        unknown[list(wanted)] = True
        unknown &= ~self._is_known
        if unknown.any():
            self._greatest[unknown] = self._last[unknown] = -1
            kernels.extremes(used, 0, size, unknown, self._greatest, self._last)
            self._is_known |= unknown
            self.passes += 1
        kernels.mark_extremes(used, self._is_known, self._greatest, self._last, self._marks)
        return self._greatest, self._last

    def _make_room(self, aggregates: int) -> None:
        missing = aggregates - len(self._is_known)
        if missing > 0:
            self._is_known = np.concatenate([self._is_known, np.zeros(missing, np.bool_)])
            none = np.full(missing, -1)
            self._greatest = np.concatenate([self._greatest, none])
            self._last = np.concatenate([self._last, none])
            first, second, third, fourth = (np.concatenate([mark, none]) for mark in self._marks)
            self._marks = first, second, third, fourth
