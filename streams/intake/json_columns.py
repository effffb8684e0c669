"""Compiled readers of JSON columns: lists of whole numbers and of plain texts, without a Python object per entry.

They take what a usage batch in columns holds as a rule, and decline anything else: then the general decoder decides.
The decoder has been over the bytes before, so that they are JSON; what stands between the brackets is checked here.
"""

# mypy: disable-error-code="no-untyped-def, misc, assignment"

import numpy as np

from streams.store.compiled import compiled, inlined

TEXT_BYTES_MAX = 255
_DIGITS_MAX = 18
_SCALE = 10**6
_DECLINED = -1

_QUOTE, _BACKSLASH, _COMMA, _MINUS, _ZERO, _NINE = 34, 92, 44, 45, 48, 57
_OPEN, _CLOSE = 91, 93
_PRINTABLE_FIRST, _PRINTABLE_LAST = 32, 126


@inlined
def _after_blanks(raw, at):
    while at < raw.shape[0] and (raw[at] == 32 or raw[at] == 10 or raw[at] == 13 or raw[at] == 9):  # noqa: PLR2004
        at += 1
    return at


@compiled
def read_numbers(raw, smallest, greatest, out, start):
    """Read a list of whole numbers into `out` from `start`; return how many there are, or -1 if anything is odd."""
    size = raw.shape[0]
    if size < 2 or raw[0] != _OPEN:  # noqa: PLR2004
        return _DECLINED
    count, at = 0, np.int64(1)
    while True:
        at = _after_blanks(raw, at)
        negative = at < size and raw[at] == _MINUS
        if negative:
            at += 1
        first, value = at, np.int64(0)
        while at < size and _ZERO <= raw[at] <= _NINE and at - first < _DIGITS_MAX:
            value = value * 10 + (np.int64(raw[at]) - _ZERO)
            at += 1
        if at == first or (raw[first] == _ZERO and at - first > 1):
            return _DECLINED
        if negative:
            value = -value
        if value < smallest or value > greatest or start + count >= out.shape[0]:
            return _DECLINED
        out[start + count] = value
        count += 1
        at = _after_blanks(raw, at)
        if at >= size:
            return _DECLINED
        if raw[at] == _CLOSE:
            return count if at == size - 1 else _DECLINED
        if raw[at] != _COMMA:
            return _DECLINED
        at += 1


@compiled
def read_texts(raw, out, byte_start, out_sizes, start):  # noqa: PLR0911
    """Read a list of texts of printable ASCII, one after the other, into `out` from `byte_start`.

    Their lengths go to `out_sizes` from `start`. Returns how many there are, or -1 if anything is odd (an escape, an
    empty or a long text), and where the bytes end.
    """
    size = raw.shape[0]
    if size < 2 or raw[0] != _OPEN:  # noqa: PLR2004
        return _DECLINED, byte_start
    count, at, end = 0, np.int64(1), byte_start
    while True:
        at = _after_blanks(raw, at)
        if at >= size or raw[at] != _QUOTE:
            return _DECLINED, byte_start
        at += 1
        first = at
        while at < size and raw[at] != _QUOTE:
            if raw[at] < _PRINTABLE_FIRST or raw[at] > _PRINTABLE_LAST or raw[at] == _BACKSLASH:
                return _DECLINED, byte_start
            at += 1
        length = at - first
        fits = end + length <= out.shape[0] and start + count < out_sizes.shape[0]
        if at >= size or length == 0 or length > TEXT_BYTES_MAX or not fits:
            return _DECLINED, byte_start
        out[end : end + length] = raw[first:at]
        out_sizes[start + count] = length
        end += length
        count += 1
        at = _after_blanks(raw, at + 1)
        if at >= size:
            return _DECLINED, byte_start
        if raw[at] == _CLOSE:
            return (count, end) if at == size - 1 else (_DECLINED, byte_start)
        if raw[at] != _COMMA:
            return _DECLINED, byte_start
        at += 1


@compiled
def read_columns(raws, maps, whole_max, out, start, byte_start):
    """Read one batch in columns behind the `start` counters that are there; return how many it has, or -1.

    `raws` = (subscription, metric, period, quantities, revisions, keys) as JSON, empty revisions for none; `maps` =
    what the first three become; `out` = (owner, metric, period, quantity at the fixed scale, revision, key sizes,
    key bytes). Returns also where the keys' bytes end.
    """
    owner, metric, period, quantity, revision, key_sizes, keys = out
    count, end = read_texts(raws[5], keys, byte_start, key_sizes, start)
    if count < 0:
        return _DECLINED, byte_start
    if (
        read_numbers(raws[0], 0, maps[0].shape[0] - 1, owner, start) != count
        or read_numbers(raws[1], 0, maps[1].shape[0] - 1, metric, start) != count
        or read_numbers(raws[2], 0, maps[2].shape[0] - 1, period, start) != count
        or read_numbers(raws[3], -whole_max, whole_max, quantity, start) != count
    ):
        return _DECLINED, byte_start
    if raws[4].shape[0] == 0:
        revision[start : start + count] = 0
    elif read_numbers(raws[4], 0, 2**31 - 1, revision, start) != count:
        return _DECLINED, byte_start
    for i in range(start, start + count):
        owner[i] = maps[0][owner[i]]
        metric[i] = maps[1][metric[i]]
        period[i] = maps[2][period[i]]
        quantity[i] *= _SCALE
    return count, end
