"""Exact decimals, and the one rounding of money."""

from decimal import Decimal, Inexact
from fractions import Fraction

import pytest
from hypothesis import given

from schemas.money import (
    DERIVED_DIGITS_MAX,
    currency_places,
    format_decimal,
    parse_decimal,
    round_money,
)
from tests.unit.schemas import strategies


@given(strategies.quantities)
def test_every_quantity_survives_text(number: Decimal) -> None:
    """Formatted and parsed it is the same number, without exponent."""
    text = format_decimal(number)
    assert parse_decimal(text) == number
    assert "E" not in text
    assert text != "-0"
    assert not (text.endswith("0") and "." in text)


@given(strategies.decimals(DERIVED_DIGITS_MAX))
def test_every_derived_number_survives_text(number: Decimal) -> None:
    """Also the longer ones of sums and products."""
    assert parse_decimal(format_decimal(number), DERIVED_DIGITS_MAX) == number


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("6000000", "6000000"),
        ("0.0075", "0.0075"),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("1E-3", "0.001"),
        ("-0", "0"),
        ("0E+5", "0"),
        ("+5", "5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007", "7"),
        (9007199254740993, "9007199254740993"),
        (Decimal("1.000"), "1"),
        (Decimal("0E+999999"), "0"),
        (Decimal("1." + "0" * 200), "1"),
        ("9" * 30 + "." + "9" * 18, "9" * 30 + "." + "9" * 18),
    ],
)
def test_a_plain_number_is_taken_as_it_is(value: object, expected: str) -> None:
    """Whatever its notation, to the last digit."""
    assert format_decimal(parse_decimal(value)) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "as a JSON number or a string"),
        (True, "as a JSON number or a string"),
        (None, "as a JSON number or a string"),
        ([1], "as a JSON number or a string"),
        ("", "plain decimal"),
        ("many", "plain decimal"),
        ("1_0", "plain decimal"),
        (" 1", "plain decimal"),
        ("1\n", "plain decimal"),
        ("1,5", "plain decimal"),
        ("0x10", "plain decimal"),
        ("\u0661", "plain decimal"),
        ("1" * 97, "plain decimal"),
        ("1e99999999999999999999", "plain decimal"),
        ("NaN", "finite"),
        ("-Infinity", "finite"),
        (Decimal("sNaN"), "finite"),
        ("1e30", "30 digits before"),
        (10**30, "30 digits before"),
        (10**4000, "30 digits before"),
        (Decimal("1e999999"), "30 digits before"),
        ("1e-19", "18 decimal places"),
        ("1.0000000000000000001", "18 decimal places"),
        (Decimal("1." + "0" * 200 + "1"), "18 decimal places"),
        (Decimal("1e-999999"), "18 decimal places"),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(value: object, message: str) -> None:
    """Binary floats and booleans first of all; nothing is ever cut to fit."""
    with pytest.raises(ValueError, match=message):
        parse_decimal(value)


def test_a_number_too_long_to_be_exact_is_not_formatted() -> None:
    """Rather an error than a lost digit."""
    with pytest.raises(Inexact):
        format_decimal(Decimal("1." + "0" * 130 + "1"))


@pytest.mark.parametrize(
    ("currency", "amount", "expected"),
    [
        ("USD", "0.005", "0.01"),
        ("USD", "0.0049", "0.00"),
        ("USD", "0.015", "0.02"),
        ("USD", "1.005", "1.01"),
        ("EUR", "2.675", "2.68"),
        ("JPY", "100.5", "101"),
        ("KWD", "1.2345", "1.235"),
        ("CLF", "0.00005", "0.0001"),
        ("USD", "-0.005", "-0.01"),
        ("USD", "0.012", "0.01"),  # three tiers of 0.004: rounded once, not per tier
        ("CAD", "100", "100.00"),
        ("CAD", "9007199254740993.005", "9007199254740993.01"),
        ("USD", "9" * 60 + ".995", str(10**60) + ".00"),
    ],
)
def test_money_is_rounded_half_up_to_its_currency(currency: str, amount: str, expected: str) -> None:
    """Ties away from zero, also where a binary float would fall short."""
    assert str(round_money(Decimal(amount), currency)) == expected


@given(strategies.decimals(40), strategies.currencies)
def test_rounding_moves_by_half_a_unit_at_most(amount: Decimal, currency: str) -> None:
    """And rounding again changes nothing."""
    rounded = round_money(amount, currency)
    assert abs(Fraction(rounded) - Fraction(amount)) <= Fraction(1, 2 * 10 ** currency_places(currency))
    assert round_money(rounded, currency) == rounded


@pytest.mark.parametrize(
    ("places", "currencies"),
    [
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (2, "CAD USD EUR GBP CHF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    ],
)
def test_currencies_have_their_places(places: int, currencies: str) -> None:
    """ISO 4217's minor units."""
    assert {currency_places(currency) for currency in currencies.split()} == {places}
