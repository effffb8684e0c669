"""Dropping rows: aggregates keep what their rows came to, and one word of each dropped key's hash stays."""

from collections.abc import Iterator, Mapping
from decimal import localcontext
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from schemas.catalog import Aggregation
from schemas.money import DECIMAL_CONTEXT
from streams.store import totals
from streams.store.closed import Base
from streams.store.columns import Column, Rows
from streams.store.splits import Moves, parts

if TYPE_CHECKING:
    from streams.store.partition_store import PartitionStore

# Rows moved in one step: some ten milliseconds.
_STEP = 1 << 19

_Kept = TypeVar("_Kept")


def close(store: "PartitionStore", kinds: Mapping[int, Aggregation]) -> Iterator[None]:
    """Drop the rows of these aggregates, step by step; see `PartitionStore.close`."""
    counts = store.aggregates.arrays["count"]
    # What is empty has no greatest value to remember, and nothing to forget.
    kinds = {number: kind for number, kind in kinds.items() if counts[number]}
    leaving = totals.flags(len(store.aggregates), kinds)
    former, aggregate = store.rows, store.rows.used("aggregate")
    bases = totals.closing_bases(former, store.aggregates, store.wide, kinds, store.closed.bases)
    # A row that is split leaves only together with all that it counts in.
    kept = {row: moves for row, moves in store.splits.of_row.items() if any(n not in kinds for n, _ in moves)}
    stays = totals.flags(former.size, kept)
    count = int(np.count_nonzero(leaving[aggregate] & ~stays))
    bases = _without(_moved_beyond(bases, store), kept, store)
    yield
    closed = store.closed.roomier(count)
    for words in store.closed.chunks():
        closed.enter(words)
        yield
    rows, wide, splits = Rows(former.size - count), {}, store.splits.emptied()
    for first in range(0, former.size, _STEP):
        gone = leaving[aggregate[first : first + _STEP]] & ~stays[first : first + _STEP]
        wide.update(_moved(store.wide, first, ~gone, rows.size))
        splits.of_row.update(_moved(store.splits.of_row, first, ~gone, rows.size))
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
    splits.sum_beyond()
    store.rows, store.wide, store.closed, store.splits = rows, wide, closed, splits


def carry(store: "PartitionStore", former: "PartitionStore", kinds: Mapping[int, Aggregation]) -> None:
    """Take over closed aggregates whole, in place of what the log still gave of them; see `PartitionStore.carry`."""
    bases = totals.closing_bases(former.rows, former.aggregates, former.wide, kinds, former.closed.bases)
    bases = _moved_beyond(bases, former)
    own = {number: store.aggregates.number(former.aggregates.keys[number]) for number in kinds}
    for _ in close(store, {own[number]: kind for number, kind in kinds.items()}):
        pass
    for number, base in bases.items():
        carried = own[number]
        # Split rows that the log still gives stay rows, and count by themselves.
        store.closed.bases |= _without({carried: base}, store.splits.of_row, store)
        counted = int(store.aggregates.arrays["count"][carried])
        store.aggregates.add(carried, base.fixed - store.aggregates.fixed_sum(carried), base.counters - counted)
        store.closed.carried.add(carried)
    # Keys that are rows again, or were dropped once more, are not missing.
    high = store.rows.used("high")
    dropped = former.closed.without(high[former.closed.knows(high)])
    on_top = former.rows.used("high")[np.isin(former.rows.used("aggregate"), list(kinds))]
    words = np.unique(np.concatenate([dropped, on_top[~np.isin(on_top, high)]]))
    store.closed = store.closed.with_words(words[~store.closed.knows(words)])
    store.closed.refused |= former.closed.refused


def _moved_beyond(bases: dict[int, Base], store: "PartitionStore") -> dict[int, Base]:
    """Return what aggregates came to with what is moved to and from them and does not fit the fixed scale."""
    beyond = store.splits.beyond
    with localcontext(DECIMAL_CONTEXT):
        return {
            number: base._replace(wide=base.wide + beyond[number]) if number in beyond else base
            for number, base in bases.items()
        }


def _without(bases: dict[int, Base], rows: Mapping[int, Moves], store: "PartitionStore") -> dict[int, Base]:
    """Return what aggregates came to less what these split rows count there."""
    quantities, left = store.rows.columns["quantity"], dict(bases)
    with localcontext(DECIMAL_CONTEXT):
        for row, moves in rows.items():
            home, quantity = moves[0][0], store.wide[row] if row in store.wide else int(quantities[row])
            for number, amount, counters in ((home, quantity, 1), *((n, each, int(n != home)) for n, each in moves)):
                if number in left:
                    base, (fixed, wide) = left[number], parts(amount)
                    left[number] = base._replace(
                        counters=base.counters - counters, fixed=base.fixed - fixed, wide=base.wide - wide
                    )
    return left


def _moved(of_row: Mapping[int, _Kept], first: int, stays: Column, start: int) -> dict[int, _Kept]:
    """Return what is known of one step's rows besides their columns, by the rows' numbers of then."""
    if not of_row:
        return {}
    number = start + np.cumsum(stays) - 1
    return {
        int(number[row - first]): value
        for row, value in of_row.items()
        if first <= row < first + len(stays) and stays[row - first]
    }
