"""Arrays that grow in place: anonymous memory which the kernel backs page by page as it is touched."""

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class GrowingArray:
    """One array of zeros to begin with, `array`, which is another object after each `grow`.

    Growth moves page tables, not bytes, and what was never written to costs no memory. While somebody holds a view of
    the array it cannot be moved and is copied instead.
    """

    def __init__(self, kind: type[np.generic], capacity: int) -> None:
        self._kind = np.dtype(kind)
        self._map = mmap.mmap(-1, capacity * self._kind.itemsize, flags=_FLAGS)
        self.array: NDArray[Any] = np.frombuffer(self._map, self._kind)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` entries; the new ones are zero."""
        size_bytes = capacity * self._kind.itemsize
        old, self.array = self.array, np.empty(0, self._kind)
        try:
            del old
            self._map.resize(size_bytes)
        except (BufferError, SystemError):
            # Held by a view, or a system without mremap.
            former = np.frombuffer(self._map, self._kind)
            self._map = mmap.mmap(-1, size_bytes, flags=_FLAGS)
            self.array = np.frombuffer(self._map, self._kind)
            self.array[: len(former)] = former
            return
        self.array = np.frombuffer(self._map, self._kind)
