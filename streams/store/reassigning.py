"""Moving counters into the periods of the catalog as it is now, when those have changed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from streams.store import kernels, totals
from streams.store.places import Places
from streams.store.splits import moves_of

if TYPE_CHECKING:
    from streams.store.partition_store import PartitionStore


def reassign(store: "PartitionStore", places: Places, moving: set[int]) -> None:
    """Empty these aggregates, whose period is none any more; see `PartitionStore.reassign`."""
    rows, aggregates, closed = store.rows, store.aggregates, store.closed
    aggregate, time = rows.used("aggregate"), rows.used("time")
    last_change = {number: int(aggregates.arrays["changed"][number]) for number in moving}
    touched = set(moving)
    closed.is_torn |= not closed.bases.keys().isdisjoint(moving)
    divided = store.splits.reaching(moving)
    touched.update(number for row in divided for number, _ in store.splits.of_row.pop(row))
    moved = np.flatnonzero(np.isin(aggregate, np.array(sorted(moving), np.int32))).tolist()
    for row in moved:
        former = int(aggregate[row])
        key = aggregates.keys[former]
        number, _, _ = places.locate(key.service, key.subscription, key.metric, int(time[row]))
        aggregate[row] = number
        touched.add(number)
        closed.is_torn |= closed.needs_rows(number)
        # What comes of these counters is as young as they are: its version says up to where to read the log.
        last_change[number] = max(last_change.get(number, -1), last_change[former])
    for number, offset in _divide(store, places, {*moved, *divided}):
        touched.add(number)
        last_change[number] = max(last_change.get(number, -1), offset)
    # Locating may have made aggregates, and with them longer arrays.
    changed = aggregates.arrays["changed"]
    for number, offset in last_change.items():
        changed[number] = max(int(changed[number]), offset)
    rows.extremes.forget(touched)
    totals.resum(rows, aggregates, touched, closed.bases)
    store.splits.readd(aggregates, touched)
    for number in touched:
        aggregates.mark(number)


def _divide(store: "PartitionStore", places: Places, rows: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Split those of these rows that reach over the end of their period; yield aggregates and since when they count.

    Sums are not touched here.
    """
    columns = store.rows.columns
    for row in rows:
        if length := int(columns["length"][row]):
            key, start = store.aggregates.keys[int(columns["aggregate"][row])], int(columns["time"][row])
            span = places.span(key[:3], start, start + length)
            if span:
                moves = moves_of(span, int(columns["quantity"][row]), store.wide.get(row))
                store.splits.of_row[row] = moves
                offset = int(columns["place"][row]) >> kernels.PLACE_BITS
                yield from ((number, offset) for number, _ in moves)
