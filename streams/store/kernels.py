"""Compiled loops over the columns: the only place where a counter is touched one by one at full speed.

All indices are int64, as numba makes a float of uint64 with int64. Slots hold row numbers, -1 is free; rows are never
removed one by one, so linear probing needs no tombstones.
"""

# mypy: disable-error-code="no-untyped-def, misc, assignment"

import numba
import numpy as np

INSERTED = 0
REPLACED = 1
DUPLICATE = 2
SUPERSEDED = 3

WIDE = np.iinfo(np.int64).min
"""Stands in the quantity column for a value that does not fit and is kept exactly elsewhere; counts as 0 in sums."""

_WORD = 0xFFFFFFFF


@numba.njit(cache=True, nogil=True, inline="always")
def _add(sum_high, sum_low, aggregate, value):
    """Add to a sum of two words: low holds 32 bits, high the rest, so no sum of 2^31 counters overflows."""
    low = sum_low[aggregate] + (value & _WORD)
    sum_high[aggregate] += (value >> 32) + (low >> 32)
    sum_low[aggregate] = low & _WORD


@numba.njit(cache=True, nogil=True)
def upsert(slots, columns, aggregates, size, sequence, batch, offset, out_status, out_row):
    """Apply a batch in order; return the new number of rows and the last dirty sequence used.

    `columns` = (low, high, aggregate, quantity, revision, time, source, distinct), with room for the whole batch;
    `aggregates` = (sum_high, sum_low, count, changed, dirty); `batch` = the columns without source. Per counter,
    `out_status` says what happened and `out_row` to which row. The greater revision wins, among equals the later;
    an identical counter changes nothing. (`distinct` tells values apart that do not fit `quantity`.)
    """
    low, high, aggregate, quantity, revision, time, source, distinct = columns
    sum_high, sum_low, count, changed, dirty = aggregates
    b_low, b_high, b_aggregate, b_quantity, b_revision, b_time, b_distinct = batch
    mask = np.int64(slots.shape[0] - 1)
    for i in range(b_low.shape[0]):
        slot = np.int64(b_low[i]) & mask
        row = np.int64(slots[slot])
        while row >= 0 and (low[row] != b_low[i] or high[row] != b_high[i]):
            slot = (slot + 1) & mask
            row = np.int64(slots[slot])
        new = np.int64(b_aggregate[i])
        if row < 0:
            row = np.int64(size)
            size += 1
            slots[slot] = row
            low[row] = b_low[i]
            high[row] = b_high[i]
            out_status[i] = INSERTED
        else:
            out_row[i] = row
            if b_revision[i] < revision[row]:
                out_status[i] = SUPERSEDED
                continue
            old = np.int64(aggregate[row])
            if (
                quantity[row] == b_quantity[i]
                and revision[row] == b_revision[i]
                and old == new
                and time[row] == b_time[i]
                and distinct[row] == b_distinct[i]
            ):
                out_status[i] = DUPLICATE
                continue
            out_status[i] = REPLACED
            if quantity[row] != WIDE:
                _add(sum_high, sum_low, old, -quantity[row])
            count[old] -= 1
            sequence += 1
            dirty[old] = sequence
            changed[old] = offset
        out_row[i] = row
        aggregate[row] = new
        quantity[row] = b_quantity[i]
        revision[row] = b_revision[i]
        time[row] = b_time[i]
        source[row] = offset
        distinct[row] = b_distinct[i]
        if b_quantity[i] != WIDE:
            _add(sum_high, sum_low, new, b_quantity[i])
        count[new] += 1
        sequence += 1
        dirty[new] = sequence
        changed[new] = offset
    return size, sequence


@numba.njit(cache=True, nogil=True)
def reindex(slots, low, size):
    """Enter all rows into empty slots, after growth or loading."""
    mask = np.int64(slots.shape[0] - 1)
    for row in range(size):
        slot = np.int64(low[row]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = row


@numba.njit(cache=True, nogil=True)
def resum(columns, aggregates, size, wanted):
    """Recompute sum and count of the aggregates flagged in `wanted` from their rows, in one pass."""
    aggregate, quantity = columns
    sum_high, sum_low, count = aggregates
    for i in range(wanted.shape[0]):
        if wanted[i]:
            sum_high[i] = 0
            sum_low[i] = 0
            count[i] = 0
    for row in range(size):
        i = np.int64(aggregate[row])
        if wanted[i]:
            if quantity[row] != WIDE:
                _add(sum_high, sum_low, i, quantity[row])
            count[i] += 1


@numba.njit(cache=True, nogil=True)
def extremes(columns, size, wanted, out_max, out_last):
    """Find, in one pass, the row with the greatest fitting value and the last row of each flagged aggregate.

    Last: greatest (time, revision, source offset, row). Both outputs start as -1, which stays where there is none.
    """
    aggregate, quantity, revision, time, source = columns
    for row in range(size):
        i = np.int64(aggregate[row])
        if not wanted[i]:
            continue
        best = out_max[i]
        if quantity[row] != WIDE and (best < 0 or quantity[row] > quantity[best]):
            out_max[i] = row
        last = out_last[i]
        if last < 0 or (time[row], revision[row], source[row], row) > (
            time[last],
            revision[last],
            source[last],
            last,
        ):
            out_last[i] = row
