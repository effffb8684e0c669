"""Dividing a counter that reaches over billing periods: each gets its share by time, and nothing is left over. Pure.

Rule (`DESIGN` 6, `rating` 7): a quantity is divided in proportion to the time that lies in each period, in units of its
last decimal, but of a millionth at least. Each part is rounded down to such units; those that are left go one each to
the parts that lost most, of equal ones to the earlier. A negative quantity is divided as the positive one would be.
"""

from collections.abc import Sequence
from decimal import Decimal

from schemas.catalog import Metric
from schemas.money import DECIMAL_CONTEXT

SPLIT_DAYS_MAX = 100
"""A counter that lasts longer is a mistake of its app, or hostile: it is not divided, but counts at its start. So there
are a hundred parts at most, and a few where periods are months.
"""

DIGITS_MIN = 6
"""Decimals that parts have at least."""


def splits(metric: Metric | None) -> bool:
    """Tell whether a metric has counters split that reach over the end of their period."""
    return metric is not None and metric.split_pro_rata


def divide(units: int, weights: Sequence[int]) -> list[int]:
    """Return whole parts in proportion to weights > 0, whose sum is `units` (largest remainder)."""
    whole, sign = sum(weights), -1 if units < 0 else 1
    exact = [divmod(abs(units) * weight, whole) for weight in weights]
    left = abs(units) - sum(part for part, _ in exact)
    most_lost = sorted(range(len(exact)), key=lambda at: -exact[at][1])[:left]
    more = set(most_lost)
    return [sign * (part + (at in more)) for at, (part, _) in enumerate(exact)]


def divided(quantity: Decimal, weights: Sequence[int]) -> list[Decimal]:
    """Return the exact parts of a quantity in proportion to weights > 0."""
    # Zeros at the end are a matter of writing.
    exponent = quantity.normalize(DECIMAL_CONTEXT).as_tuple().exponent
    digits = max(DIGITS_MIN, -exponent) if isinstance(exponent, int) else DIGITS_MIN
    units = int(quantity.scaleb(digits, DECIMAL_CONTEXT))
    return [Decimal(part).scaleb(-digits, DECIMAL_CONTEXT) for part in divide(units, weights)]
