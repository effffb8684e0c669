"""Exact numbers: decimals from the wire, currencies, and the only rounding of money there is."""

import re
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation

INTEGER_DIGITS_MAX = 30
DERIVED_DIGITS_MAX = 72
"""Sums of 30-digit quantities and their products with prices have more digits than a quantity may have."""
DECIMAL_PLACES_MAX = 18
DECIMAL_CONTEXT = Context(prec=120)
"""Wide enough that no sum or product of accepted numbers is ever rounded (30 + 18 digits, squared, with carries)."""
DECIMAL_PATTERN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
TEXT_CHARACTERS_MAX = 2 * (INTEGER_DIGITS_MAX + DECIMAL_PLACES_MAX)

# NaN and Infinity pass here to be refused as what they are.
_PLAIN = re.compile(DECIMAL_PATTERN[:-1] + r"\Z|[+-]?(nan|inf(inity)?)\Z", re.IGNORECASE)
_EXACT = Context(prec=DECIMAL_CONTEXT.prec, traps=[Inexact, InvalidOperation])

# ISO 4217; all others have two decimals.
_PLACES = (
    dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0)
    | dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3)
    | dict.fromkeys("CLF UYW".split(), 4)
)


def parse_decimal(value: object, integer_digits_max: int = INTEGER_DIGITS_MAX) -> Decimal:
    """Return `value` (text, int or Decimal) as an exact, finite decimal of bounded size.

    Raises:
        ValueError: not a plain decimal number, not finite, or over 30 (else `integer_digits_max`) digits before
            or 18 after the decimal point.
            Binary floats and booleans are refused: they have lost the cent already.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise ValueError("must be a decimal number, as a JSON number or a string")  # noqa: TRY004 -- pydantic wants it
    # Python's own reading is laxer: underscores, spaces, the digits of other scripts.
    if isinstance(value, str) and not (
        len(value) <= 2 * (integer_digits_max + DECIMAL_PLACES_MAX) and _PLAIN.match(value)
    ):
        raise ValueError("must be a plain decimal number")
    if isinstance(value, int) and value.bit_length() > 4 * integer_digits_max:
        raise ValueError(f"must have at most {integer_digits_max} digits before the decimal point")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError("must be a plain decimal number") from None
    if not number.is_finite():
        raise ValueError("must be finite")
    # adjusted() is the exponent of the leading digit: bounded before anything would write out 10**999999.
    if number and number.adjusted() >= integer_digits_max:
        raise ValueError(f"must have at most {integer_digits_max} digits before the decimal point")
    if number and number.adjusted() < -DECIMAL_PLACES_MAX:
        raise ValueError(f"must have at most {DECIMAL_PLACES_MAX} decimal places")
    try:
        number = _without_exponent(number)
    except Inexact:
        raise ValueError(f"must have at most {DECIMAL_PLACES_MAX} decimal places") from None
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > DECIMAL_PLACES_MAX:
        raise ValueError(f"must have at most {DECIMAL_PLACES_MAX} decimal places")
    return number


def format_decimal(number: Decimal) -> str:
    """Return plain notation without exponent and without trailing zeros: ``6000000``, ``0.0075``, ``0``.

    Raises:
        decimal.Inexact: a number of more than 120 digits; it is never cut.
    """
    return format(_without_exponent(number), "f")


def currency_places(currency: str) -> int:
    """Decimal places of an ISO 4217 currency."""
    return _PLACES.get(currency, 2)


def round_money(amount: Decimal, currency: str) -> Decimal:
    """Round once, half away from zero, to the currency's smallest unit: the only rounding on the way to a line."""
    return amount.quantize(Decimal(1).scaleb(-currency_places(currency)), ROUND_HALF_UP, DECIMAL_CONTEXT)


def _without_exponent(number: Decimal) -> Decimal:
    if not number:
        return Decimal(0)  # also for -0 and 0E+5
    reduced = number.normalize(_EXACT)
    exponent = reduced.as_tuple().exponent
    return reduced.quantize(Decimal(1), context=_EXACT) if isinstance(exponent, int) and exponent > 0 else reduced
