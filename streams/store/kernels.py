"""Compiled loops over the columns: the only place where a counter is touched one by one at full speed.

All indices are int64, as numba makes a float of uint64 with int64. A slot is 0 if free, else the number of its row
plus one in its lower bits, and in those that remain above, bits of the hash: most other rows on the way are told from
the wanted one without a look at them. Rows are never removed one by one, so linear probing needs no tombstones.
"""

# mypy: disable-error-code="no-untyped-def, misc, assignment"

import numpy as np

from streams.store.compiled import compiled, inlined

INSERTED = 0
REPLACED = 1
DUPLICATE = 2
SUPERSEDED = 3
STATUSES = 4
STATUS = STATUSES - 1
"""The bits of the status itself; what may be added to it lies above."""

WAS_WIDE = 4
"""Added to a status: the row held a value that does not fit before."""

HAD_LENGTH = 8
"""Added to a status: the row held a counter with a length before, which may have been split."""

PLACE_BITS = 14
"""A place in the log is the record's offset, and in so many lower bits the counter's position in the record."""

WIDE = np.iinfo(np.int64).min
"""Stands in the quantity column for a value that does not fit and is kept exactly elsewhere; counts as 0 in sums."""

_WORD = 0xFFFFFFFF


@inlined
def _add(sum_high, sum_low, aggregate, value):
    """Add to a sum of two words: low holds 32 bits, high the rest, so no sum of 2^31 counters overflows."""
    low = sum_low[aggregate] + (value & _WORD)
    sum_high[aggregate] += (value >> 32) + (low >> 32)
    sum_low[aggregate] = low & _WORD


@inlined
def _find(slots, low, high, wanted_low, wanted_high):
    """Return the row with this hash, or -1, and the slot where the search ended."""
    mask = np.int64(slots.shape[0] - 1)
    tag = np.int64(wanted_high & np.uint64(_WORD)) & ~mask
    slot = np.int64(wanted_low & np.uint64(mask))
    while True:
        entry = np.int64(slots[slot])
        if entry == 0:
            return np.int64(-1), slot
        if entry & ~mask == tag:
            row = (entry & mask) - 1
            if low[row] == wanted_low and high[row] == wanted_high:
                return row, slot
        slot = (slot + 1) & mask


@inlined
def _note(column, row, value):
    """Note what is mostly zero, as fresh memory is: pages that nobody writes to cost none."""
    if column[row] != value:
        column[row] = value


@compiled
def upsert(slots, former, columns, aggregates, size, sequence, batch, out_status, out_row):
    """Apply a batch in order; return the new number of rows and the last dirty sequence used.

    `slots` has room for the whole batch; rows that are not entered there yet are found through `former`. `columns` =
    (low, high, aggregate, quantity, revision, time, place, distinct, length), with room as well; `batch` = the same;
    `aggregates` = (sum_high, sum_low, count, changed, dirty). Per counter, `out_status` says what happened and
    `out_row` to which row. The greater revision wins, among equals the later; an identical counter changes nothing.
    (`distinct` tells values apart that do not fit `quantity`, `length` counters that end at different times.)
    """
    low, high, aggregate, quantity, revision, time, place, distinct, length = columns
    sum_high, sum_low, count, changed, dirty = aggregates
    b_low, b_high, b_aggregate, b_quantity, b_revision, b_time, b_place, b_distinct, b_length = batch
    mask = np.int64(slots.shape[0] - 1)
    for i in range(b_low.shape[0]):
        row, slot = _find(slots, low, high, b_low[i], b_high[i])
        if row < 0 and former.shape[0] > 1:
            row, _ = _find(former, low, high, b_low[i], b_high[i])
        new = np.int64(b_aggregate[i])
        if row < 0:
            row = np.int64(size)
            size += 1
            slots[slot] = (np.int64(b_high[i] & np.uint64(_WORD)) & ~mask) | (row + 1)
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
                and length[row] == b_length[i]
            ):
                out_status[i] = DUPLICATE
                continue
            out_status[i] = REPLACED
            if quantity[row] == WIDE:
                out_status[i] |= WAS_WIDE
            else:
                _add(sum_high, sum_low, old, -quantity[row])
            if length[row] != 0:
                out_status[i] |= HAD_LENGTH
            count[old] -= 1
            sequence += 1
            dirty[old] = sequence
            changed[old] = b_place[i] >> PLACE_BITS
        out_row[i] = row
        aggregate[row] = new
        quantity[row] = b_quantity[i]
        time[row] = b_time[i]
        place[row] = b_place[i]
        _note(revision, row, b_revision[i])
        _note(distinct, row, b_distinct[i])
        _note(length, row, b_length[i])
        if b_quantity[i] != WIDE:
            _add(sum_high, sum_low, new, b_quantity[i])
        count[new] += 1
        sequence += 1
        dirty[new] = sequence
        changed[new] = b_place[i] >> PLACE_BITS
    return size, sequence


@compiled
def enter(slots, low, high, first, end):
    """Enter the rows [first, end), which are not there yet, into slots with room for them."""
    mask = np.int64(slots.shape[0] - 1)
    for row in range(first, end):
        slot = np.int64(low[row] & np.uint64(mask))
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = (np.int64(high[row] & np.uint64(_WORD)) & ~mask) | (row + 1)


@compiled
def combine(first, second, scale, salt, out_number, out_at):
    """Number the pairs (first, second) of all counters from 0 in the order of their first sight; return how many.

    `out_number` gets each counter's number, `out_at` where each pair was seen first; `second` is below `scale`;
    `salt` is a random odd number, so that nobody can choose pairs that crowd the slots.
    """
    bits = np.uint64(4)
    while (np.int64(1) << np.int64(bits)) < 2 * first.shape[0]:
        bits += np.uint64(1)
    mask = (np.int64(1) << np.int64(bits)) - 1
    slots = np.zeros(mask + 1, np.int64)
    count = 0
    for i in range(first.shape[0]):
        pair = first[i] * scale + second[i]
        slot = np.int64((np.uint64(pair) * salt) >> (np.uint64(64) - bits))
        while slots[slot] != 0:
            at = out_at[slots[slot] - 1]
            if first[at] * scale + second[at] == pair:
                break
            slot = (slot + 1) & mask
        if slots[slot] == 0:
            out_at[count] = i
            count += 1
            slots[slot] = count
        out_number[i] = slots[slot] - 1
    return count


@compiled
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


@inlined
def _outdo(columns, row, out_max, out_last):
    """Put a row in the place of its aggregate's greatest or last one if it is greater or later."""
    aggregate, quantity, revision, time, place = columns
    i = np.int64(aggregate[row])
    best = out_max[i]
    if quantity[row] != WIDE and (best < 0 or quantity[row] > quantity[best]):
        out_max[i] = row
    last = out_last[i]
    if last < 0 or (time[row], revision[row], place[row]) > (time[last], revision[last], place[last]):
        out_last[i] = row


@compiled
def extremes(columns, first, size, wanted, out_max, out_last):
    """Go through the rows [first, size) for the greatest fitting value and the last row of each flagged aggregate.

    Last: greatest (time, revision, place in the log). Both outputs hold the rows found before, -1 for none.
    """
    aggregate = columns[0]
    for row in range(first, size):
        if wanted[aggregate[row]]:
            _outdo(columns, row, out_max, out_last)


@compiled
def extremes_among(columns, rows, wanted, out_max, out_last):
    """Do the same for a list of rows."""
    aggregate = columns[0]
    for at in range(rows.shape[0]):
        if wanted[aggregate[rows[at]]]:
            _outdo(columns, rows[at], out_max, out_last)


@compiled
def mark_extremes(columns, known, greatest, last, out_marks):
    """Write down what makes the greatest and last rows of the flagged aggregates so."""
    _, quantity, revision, time, place = columns
    top, last_time, last_revision, last_place = out_marks
    for i in range(known.shape[0]):
        if known[i] and greatest[i] >= 0:
            top[i] = quantity[greatest[i]]
        if known[i] and last[i] >= 0:
            last_time[i], last_revision[i], last_place[i] = time[last[i]], revision[last[i]], place[last[i]]


@compiled
def doubt_extremes(columns, known, greatest, last, marks):
    """Unflag the aggregates whose greatest or last row has been lowered since it was marked, or has left."""
    aggregate, quantity, revision, time, place = columns
    top, last_time, last_revision, last_place = marks
    for i in range(known.shape[0]):
        row = greatest[i]
        if row >= 0 and (aggregate[row] != i or quantity[row] == WIDE or quantity[row] < top[i]):
            known[i] = False
        row = last[i]
        if row >= 0 and (
            aggregate[row] != i
            or (time[row], revision[row], place[row]) < (last_time[i], last_revision[i], last_place[i])
        ):
            known[i] = False


@compiled
def count_distinct(columns, size, wanted, out_count):
    """Count, in one pass, the different values of `distinct` in each flagged aggregate; `out_count` starts as 0."""
    aggregate, distinct = columns
    rows = 0
    for row in range(size):
        rows += wanted[aggregate[row]]
    bits = np.uint64(4)
    while (np.int64(1) << np.int64(bits)) < 2 * rows:
        bits += np.uint64(1)
    mask = (np.int64(1) << np.int64(bits)) - 1
    slots = np.zeros(mask + 1, np.int64)
    for row in range(size):
        i = np.int64(aggregate[row])
        if not wanted[i]:
            continue
        # `distinct` is a seeded hash; the aggregate is mixed in so that equal values of many do not crowd one place.
        slot = np.int64((distinct[row] + np.uint64(i) * np.uint64(0x9E3779B97F4A7C15)) >> (np.uint64(64) - bits))
        while slots[slot] != 0:
            seen = slots[slot] - 1
            if distinct[seen] == distinct[row] and aggregate[seen] == i:
                break
            slot = (slot + 1) & mask
        if slots[slot] == 0:
            slots[slot] = row + 1
            out_count[i] += 1


@inlined
def _find_word(table, word):
    """Return the slot that holds a word, or the free one where it belongs; zero stands for none and is kept as one."""
    slot = np.int64(((word >> np.uint64(32)) * np.uint64(table.shape[0])) >> np.uint64(32))
    while table[slot] != 0 and table[slot] != word:
        slot += 1
        if slot == table.shape[0]:
            slot = np.int64(0)
    return slot


@compiled
def enter_words(table, words):
    """Enter words of hashes into a table with room for them."""
    for i in range(words.shape[0]):
        word = max(words[i], np.uint64(1))
        table[_find_word(table, word)] = word


@compiled
def known_words(table, words, out_known):
    """Tell of each word whether the table holds it."""
    for i in range(words.shape[0]):
        out_known[i] = table[_find_word(table, max(words[i], np.uint64(1)))] != 0
