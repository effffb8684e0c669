"""Dividing a quantity over periods: exact, in proportion, and nothing left over."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import DECIMAL_PLACES_MAX, INTEGER_DIGITS_MAX
from streams.domain.splitting import divide, divided

WEIGHTS = st.lists(st.integers(1, 100 * 86_400_000_000), min_size=1, max_size=100)
QUANTITIES = st.decimals(
    Decimal(-(10 ** (INTEGER_DIGITS_MAX - 1))), Decimal(10 ** (INTEGER_DIGITS_MAX - 1)), places=DECIMAL_PLACES_MAX
) | st.integers(-(10**9), 10**9).map(Decimal)


@given(QUANTITIES, WEIGHTS)
def test_parts_sum_to_the_whole_and_none_is_a_unit_off(quantity: Decimal, weights: list[int]) -> None:
    """In fractions, which round nothing: each part lies within one unit of its exact share."""
    parts = [Fraction(part) for part in divided(quantity, weights)]
    assert sum(parts) == Fraction(quantity)
    unit = Fraction(1, 10 ** max(6, len(f"{quantity:f}".partition(".")[2].rstrip("0"))))
    for part, weight in zip(parts, weights, strict=True):
        exact = Fraction(quantity) * weight / sum(weights)
        assert abs(part - exact) < unit
        assert (part / unit).denominator == 1
        assert part * Fraction(quantity) >= 0


@given(st.integers(-(10**12), 10**12), WEIGHTS)
def test_the_negative_is_divided_as_the_positive(units: int, weights: list[int]) -> None:
    """So that a counter and its reversal cancel in each period."""
    assert divide(-units, weights) == [-part for part in divide(units, weights)]


@pytest.mark.parametrize(
    ("quantity", "weights", "parts"),
    [
        ("100", [1, 2], ["33.333333", "66.666667"]),
        ("1", [1, 1, 1], ["0.333334", "0.333333", "0.333333"]),
        ("0.000001", [1, 1], ["0.000001", "0"]),
        ("0.00001000", [1, 2], ["0.000003", "0.000007"]),
        ("0.000000005", [1, 1], ["0.000000003", "0.000000002"]),
        ("-7", [3, 1], ["-5.25", "-1.75"]),
        ("24", [23, 1], ["23", "1"]),
        ("0", [5, 7], ["0", "0"]),
    ],
)
def test_shares(quantity: str, weights: list[int], parts: list[str]) -> None:
    """The unit that is left goes to the part that lost most, among equal ones to the earlier."""
    assert divided(Decimal(quantity), weights) == [Decimal(part) for part in parts]
