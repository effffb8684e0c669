"""Exact numbers at the border between JSON (decimal strings), Python (Decimal) and Odoo's columns (float, numeric)."""

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

from odoo.tools import float_repr

DIGITS_MAX = 30
TEXT_MAX = 80


def parse_decimal(value, field):
    """Return `value`, a decimal string, as a finite Decimal; raise ValueError naming `field` otherwise."""
    if not isinstance(value, str) or not value or len(value) > TEXT_MAX or "_" in value:
        raise ValueError(f"{field} must be a decimal number in a string")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{field} must be a decimal number in a string") from None
    if not number.is_finite() or (number and not -DIGITS_MAX <= number.adjusted() < DIGITS_MAX):
        raise ValueError(f"{field} must be finite and have at most {DIGITS_MAX} digits")
    return number


def plain(number):
    """Return a Decimal as text without exponent and without trailing zeros: ``6000000``, ``0.0075``, ``0``."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def rounded(number, places):
    """Return a Decimal with at most `places` decimals, half away from zero, however many digits it has before them."""
    if -number.as_tuple().exponent <= places:
        return number
    return number.quantize(Decimal(1).scaleb(-places), context=Context(prec=TEXT_MAX, rounding=ROUND_HALF_UP))


def from_float(value, places):
    """Return the Decimal that a numeric column with `places` decimals holds, read through a float."""
    return Decimal(float_repr(value or 0.0, places))


def money(amount, currency):
    """Return an amount as text with the currency's decimals: ``100.00``."""
    if not isinstance(amount, Decimal):
        amount = from_float(amount, currency.decimal_places)
    return format(amount.quantize(Decimal(1).scaleb(-currency.decimal_places)), "f")


def grouped(number):
    """Return a Decimal for people: ``6,000,000``."""
    return format(Decimal(plain(number)), ",f")
