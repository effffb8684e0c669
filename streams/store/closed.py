"""What is left of rows that were dropped: per aggregate what they came to, per row one word of its key's hash.

A closed aggregate goes on: new counters are added to what its dropped rows came to. Two kinds of counters need the
rows themselves, and are late: those whose key was dropped, and those of an aggregate that counts distinct values.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.store import kernels
from streams.store.published import Name

Words = NDArray[np.uint64]

_LOAD_MAX = 0.8
_CHUNK = 1 << 20


class Base(NamedTuple):
    """What the dropped rows of one aggregate came to, whatever its metric makes of them.

    counters: how many; fixed: sum of the fitting quantities at the fixed scale; wide: sum of the others; greatest: of
    all quantities; order: (time, revision, place) of the last one, `last`; distinct: null if that was not counted.
    """

    counters: int
    fixed: int
    wide: Decimal
    greatest: Decimal
    order: tuple[int, int, int]
    last: Decimal
    distinct: int | None


class Saved(msgspec.Struct):
    """`Closed` as a snapshot's header holds it; the words are a column."""

    bases: list[tuple[int, Base]]
    carried: list[int]
    refused: list[Name]
    is_torn: bool
    is_final: bool


def _table_for(words: int) -> Words:
    return np.zeros(int(words / _LOAD_MAX) + 1, np.uint64)


@dataclass(slots=True)
class Closed:
    """The closed aggregates of a store, by number, and an open-addressing table of the dropped keys' words.

    carried: aggregates whose counters have left the log; nothing but their base knows them. refused: aggregates that
    late counters would have changed, but were refused. is_torn: the catalog has changed in a way that asks for dropped
    rows. is_final: the log has been asked for the dropped rows and no longer holds them.
    """

    bases: dict[int, Base] = field(default_factory=dict)
    table: Words = field(default_factory=lambda: _table_for(0))
    size: int = 0
    carried: set[int] = field(default_factory=set)
    refused: set[Name] = field(default_factory=set)
    is_torn: bool = False
    is_final: bool = False

    @classmethod
    def load(cls, saved: Saved, table: Words) -> "Closed":
        """Return what was saved."""
        size = int(np.count_nonzero(table))
        refused = set(saved.refused)
        return cls(dict(saved.bases), table, size, set(saved.carried), refused, saved.is_torn, saved.is_final)

    def save(self) -> Saved:
        """Return what to save, but for the table."""
        return Saved(list(self.bases.items()), sorted(self.carried), sorted(self.refused), self.is_torn, self.is_final)

    def roomier(self, more: int) -> "Closed":
        """Return the same with an empty table that has room for `more` words than there are."""
        table = _table_for(self.size + more)
        return Closed(dict(self.bases), table, 0, set(self.carried), set(self.refused), self.is_torn, self.is_final)

    def with_words(self, words: Words) -> "Closed":
        """Return the same with more words, none of which is there yet."""
        more = self.roomier(len(words))
        for chunk in self.chunks():
            more.enter(chunk)
        more.enter(words)
        return more

    def enter(self, words: Words) -> None:
        """Enter words that are not there yet; there must be room."""
        kernels.enter_words(self.table, words)
        self.size += len(words)

    def knows(self, words: Words) -> NDArray[np.bool_]:
        """Tell of each word whether it is there."""
        known = np.zeros(len(words), np.bool_)
        if self.size:
            kernels.known_words(self.table, words, known)
        return known

    def chunks(self) -> Iterator[Words]:
        """Yield all words, many at a time."""
        for first in range(0, len(self.table), _CHUNK):
            part = self.table[first : first + _CHUNK]
            yield part[part != 0]

    def needs_rows(self, number: int) -> bool:
        """Tell whether a closed aggregate cannot take in new counters by itself."""
        base = self.bases.get(number)
        return base is not None and base.distinct is not None

    def without(self, words: Words) -> Words:
        """Return all words but these."""
        gone = Closed(table=_table_for(len(words)))
        gone.enter(words)
        left = [chunk[~gone.knows(chunk)] for chunk in self.chunks()]
        return np.concatenate([*left, np.zeros(0, np.uint64)])
