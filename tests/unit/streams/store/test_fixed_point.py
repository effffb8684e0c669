"""Quantities at the fixed scale, and those that do not fit it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import DECIMAL_CONTEXT
from streams.store.fixed_point import from_fixed, to_fixed
from streams.store.kernels import WIDE

LARGEST = Decimal(2**62 - 1).scaleb(-6)


@pytest.mark.parametrize(
    ("quantity", "fixed"),
    [
        (0, 0),
        (-3, -3_000_000),
        (Decimal("0.000001"), 1),
        (Decimal("-0.000001"), -1),
        (Decimal("1.50"), 1_500_000),
        (LARGEST, 2**62 - 1),
        (-LARGEST, -(2**62 - 1)),
        (4611686018427, 4611686018427_000_000),
    ],
)
def test_what_fits(quantity: int | Decimal, fixed: int) -> None:
    """Up to six decimals and half the range of 64 bits."""
    for neighbours in ([], [1], [Decimal("0.5")]):
        column, wide = to_fixed([*neighbours, quantity])
        assert int(column[-1]) == fixed
        assert not wide
    assert from_fixed(fixed) == quantity


@pytest.mark.parametrize(
    "quantity",
    [
        Decimal("0.0000001"),
        Decimal("1E-18"),
        LARGEST + Decimal("0.000001"),
        -LARGEST - Decimal("0.000001"),
        4611686018428,
        2**62,
        -(2**63),
        2**63 - 1,
        2**64,
        10**30 - 1,
        Decimal(10**30 - 1) + Decimal("1E-18"),
    ],
)
def test_what_does_not_fit_is_kept_exactly(quantity: int | Decimal) -> None:
    """The column says so, the value itself comes back whole."""
    for neighbours in ([], [1], [-1], [Decimal("0.5")]):
        column, wide = to_fixed([*neighbours, quantity])
        assert int(column[-1]) == WIDE
        with_exact = wide[len(neighbours)]
        assert DECIMAL_CONTEXT.subtract(with_exact, Decimal(quantity)) == 0
        assert len(wide) == 1


def test_nothing_becomes_nothing() -> None:
    """An empty batch is legal."""
    column, wide = to_fixed([])
    assert (len(column), wide) == (0, {})


numbers = st.one_of(
    st.integers(-(10**30), 10**30), st.integers(-(2**63), 2**63), st.decimals(-(10**12), 10**12, places=6)
)


@given(st.lists(numbers, max_size=20))
def test_every_quantity_comes_back(quantities: list[int | Decimal]) -> None:
    """Column and exact values together lose nothing."""
    column, wide = to_fixed(quantities)
    found = [wide.get(i, from_fixed(int(value))) for i, value in enumerate(column)]
    assert all(one == Decimal(other) for one, other in zip(found, quantities, strict=True))
