"""Which offsets may be committed: the longest settled prefix of each partition, carried across batches. Pure."""

from collections.abc import Mapping
from types import MappingProxyType


class Cursor:
    """Tracks records from `begin` to `settle`; compaction may leave gaps between offsets, a gap is settled.

    A record that is never settled holds back its own partition's commits, and no other's.
    """

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        # Offsets arrive in ascending order, so the first key is the smallest.
        self._open: dict[int, dict[int, None]] = {}

    def begin(self, partition: int, offset: int) -> None:
        """Note a record that was read; offsets of one partition only grow."""
        self._open.setdefault(partition, {})[offset] = None
        self._next[partition] = offset + 1

    def settle(self, partition: int, offset: int) -> None:
        """Note that a record needs no more work; unknown ones (dropped meanwhile) are ignored."""
        self._open.get(partition, {}).pop(offset, None)

    def drop(self, partition: int) -> None:
        """Forget a partition that is not ours any more."""
        self._next.pop(partition, None)
        self._open.pop(partition, None)

    def settled(self) -> Mapping[int, int]:
        """Per partition the offset to commit: all records before it are settled."""
        return MappingProxyType(
            {
                partition: next(iter(self._open.get(partition, ())), next_offset)
                for partition, next_offset in self._next.items()
            }
        )
