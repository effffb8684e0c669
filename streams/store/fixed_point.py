"""Quantities as 64-bit integers at a fixed scale; what does not fit goes the exact slow path as a Decimal."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from schemas.money import DECIMAL_CONTEXT
from streams.store.kernels import WIDE

SCALE_DIGITS = 6
_SCALE = 10**SCALE_DIGITS
# Half of the range stays free, so that the difference of two quantities fits as well.
_FIXED_MAX = 2**62
WHOLE_MAX = _FIXED_MAX // _SCALE


def to_fixed(quantities: Sequence[int | Decimal]) -> tuple[NDArray[np.int64], dict[int, Decimal]]:
    """Return the quantities times 10^6, and by position those that do not fit (there the array holds `WIDE`)."""
    if set(map(type, quantities)) == {int}:
        whole = np.array(quantities, dtype=object if _any_huge(quantities) else np.int64)
        if whole.dtype == np.int64 and whole.size and abs(whole.min()) <= WHOLE_MAX and abs(whole.max()) <= WHOLE_MAX:
            return whole * _SCALE, {}
    wide: dict[int, Decimal] = {}
    fixed = np.empty(len(quantities), np.int64)
    for position, quantity in enumerate(quantities):
        value = _fixed(quantity)
        if value is None:
            wide[position] = Decimal(quantity)
        fixed[position] = WIDE if value is None else value
    return fixed, wide


def from_fixed(value: int) -> Decimal:
    """Return the quantity of a fixed-point integer."""
    return Decimal(value).scaleb(-SCALE_DIGITS, DECIMAL_CONTEXT)


def _fixed(quantity: int | Decimal) -> int | None:
    scaled = Decimal(quantity).scaleb(SCALE_DIGITS, DECIMAL_CONTEXT)
    whole = int(scaled)
    return whole if whole == scaled and abs(whole) < _FIXED_MAX else None


def _any_huge(quantities: Sequence[int | Decimal]) -> bool:
    return bool(quantities) and (min(quantities) < -_FIXED_MAX or max(quantities) > _FIXED_MAX)
