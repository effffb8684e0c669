"""Refused and stray input on its way out: each record of the usage log puts its own in once, whatever is replayed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from streams.records import Outgoing
from streams.store.snapshots import Unpublished

_BYTES_MAX = 32 << 20


@dataclass(slots=True)
class Outbox:
    """What is still to be published of the records applied so far, oldest first.

    settled: input of source records before this offset is out. noted: input of source records before this one has
    been put in, or is out.
    """

    settled: int = 0
    noted: int = 0
    size_bytes: int = 0
    _waiting: list[Unpublished] = field(default_factory=list)

    @classmethod
    def load(cls, settled: int, waiting: Iterable[Unpublished]) -> "Outbox":
        """Return the outbox of a snapshot."""
        outbox = cls()
        outbox._waiting = list(waiting)
        outbox.noted = max((each[0] + 1 for each in outbox._waiting), default=0)
        outbox.settle(settled)
        return outbox

    @property
    def waiting(self) -> tuple[Unpublished, ...]:
        """What is not out yet."""
        return tuple(self._waiting)

    @property
    def is_full(self) -> bool:
        """Tell whether more should be published before more is taken in."""
        return self.size_bytes > _BYTES_MAX

    def put(self, source_offset: int, records: Sequence[Outgoing]) -> None:
        """Take the records that came of one source record, unless they have been taken before."""
        if source_offset >= self.noted:
            self._waiting += [
                (source_offset, record.topic, record.key, record.value, record.partition) for record in records
            ]
            self.size_bytes += sum(len(record.value) for record in records)
            self.noted = source_offset + 1

    def settle(self, settled: int) -> None:
        """Note that everything of source records before `settled` is out."""
        self.settled = max(self.settled, settled)
        self.noted = max(self.noted, self.settled)
        self._waiting = [each for each in self._waiting if each[0] >= self.settled]
        self.size_bytes = sum(len(value) for _, _, _, value, _ in self._waiting)

    def records(self) -> list[Outgoing]:
        """Return what is to be published."""
        return [Outgoing(topic, key, value, partition) for _, topic, key, value, partition in self._waiting]
