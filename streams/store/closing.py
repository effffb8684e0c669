"""Dropping rows: aggregates keep what their rows came to, and one word of each dropped key's hash stays."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from schemas.catalog import Aggregation
from streams.store import totals
from streams.store.columns import Column, Rows

if TYPE_CHECKING:
    from streams.store.partition_store import PartitionStore

# Rows moved in one step: some ten milliseconds.
_STEP = 1 << 19


def close(store: "PartitionStore", kinds: Mapping[int, Aggregation]) -> Iterator[None]:
    """Drop the rows of these aggregates, step by step; see `PartitionStore.close`."""
    counts = store.aggregates.arrays["count"]
    # What is empty has no greatest value to remember, and nothing to forget.
    kinds = {number: kind for number, kind in kinds.items() if counts[number]}
    leaving = totals.flags(len(store.aggregates), kinds)
    former, aggregate = store.rows, store.rows.used("aggregate")
    bases = totals.closing_bases(former, store.aggregates, store.wide, kinds, store.closed.bases)
    count = int(np.count_nonzero(leaving[aggregate]))
    yield
    closed = store.closed.roomier(count)
    for words in store.closed.chunks():
        closed.enter(words)
        yield
    rows, wide = Rows(former.size - count), {}
    for first in range(0, former.size, _STEP):
        gone = leaving[aggregate[first : first + _STEP]]
        wide.update(_moved(store.wide, first, ~gone, rows.size))
        rows.take_from(former, first, ~gone)
        closed.enter(former.used("high")[first : first + _STEP][gone])
        yield
    closed.bases.update(bases)
    closed.is_final = False
    for number, kind in kinds.items():
        if kind is not Aggregation.UNIQUE_COUNT:
            # Should distinct values count one day, the store has to be made anew.
            key = store.aggregates.keys[number]
            store.distinct.counted_by[key.service, key.metric] = None
    store.rows, store.wide, store.closed = rows, wide, closed


def carry(store: "PartitionStore", former: "PartitionStore", kinds: Mapping[int, Aggregation]) -> None:
    """Take over closed aggregates whole, in place of what the log still gave of them; see `PartitionStore.carry`."""
    bases = totals.closing_bases(former.rows, former.aggregates, former.wide, kinds, former.closed.bases)
    own = {number: store.aggregates.number(former.aggregates.keys[number]) for number in kinds}
    for _ in close(store, {own[number]: kind for number, kind in kinds.items()}):
        pass
    for number, base in bases.items():
        carried = own[number]
        store.closed.bases[carried] = base
        counted = int(store.aggregates.arrays["count"][carried])
        store.aggregates.add(carried, base.fixed - store.aggregates.fixed_sum(carried), base.counters - counted)
        store.closed.carried.add(carried)
    # Keys that are rows again, or were dropped once more, are not missing.
    high = store.rows.used("high")
    words = former.closed.without(high[former.closed.knows(high)])
    on_top = former.rows.used("high")[np.isin(former.rows.used("aggregate"), list(kinds))]
    for more in (words, on_top):
        unknown = more[~store.closed.knows(more)]
        closed = store.closed.roomier(len(unknown))
        for chunk in store.closed.chunks():
            closed.enter(chunk)
        closed.enter(unknown)
        store.closed = closed
    store.closed.refused |= former.closed.refused


def _moved(wide: Mapping[int, Decimal], first: int, stays: Column, start: int) -> dict[int, Decimal]:
    """Return the values of one step's rows that do not fit, by the rows' numbers of then."""
    if not wide:
        return {}
    number = start + np.cumsum(stays) - 1
    return {
        int(number[row - first]): value
        for row, value in wide.items()
        if first <= row < first + len(stays) and stays[row - first]
    }
