"""Rating: what the total of one metric in one billing period costs under one charge. Exact, rounded once.

Formulas: DESIGN 6. Overage is ``max(0, total - quota)``; a batch is charged as soon as it is started.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from schemas.catalog import Charge, ChargeModel, Tier
from schemas.errors import InvariantBroken
from schemas.money import DECIMAL_CONTEXT, round_money

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rated:
    """Result of rating: the units that were priced, the started batches, the amount rounded to the currency."""

    billable_units: Decimal
    batches: Decimal
    amount: Decimal


def rate(total: Decimal, charge: Charge) -> Rated:
    """Rate one total.

    Args:
        total: metric units in the period, after dedupe; a negative total costs nothing.
        charge: the terms; quota and batch in metric units, prices per started batch in `charge.currency`.

    Raises:
        InvariantBroken: a batch that is not positive or tiers that do not reach to infinity (the catalog must
            have refused them).
    """
    if charge.unit_batch <= 0:
        raise InvariantBroken(f"charge {charge.code}: unit_batch is {charge.unit_batch}, must be positive")
    with localcontext(DECIMAL_CONTEXT):
        units, batches, amount = _MODELS[charge.charge_model](max(total, ZERO), charge)
        return Rated(units, batches, round_money(amount, charge.currency))


def started_batches(units: Decimal, batch: Decimal) -> Decimal:
    """Return ceil(units / batch), exactly, also where the quotient has more digits than any context."""
    whole, rest = divmod(units, batch)
    return whole + 1 if rest else whole


_Priced = tuple[Decimal, Decimal, Decimal]


def _standard(total: Decimal, charge: Charge) -> _Priced:
    overage = max(ZERO, total - charge.included_quota)
    batches = started_batches(overage, charge.unit_batch)
    return overage, batches, batches * charge.price_per_unit


def _package(total: Decimal, charge: Charge) -> _Priced:
    batches = started_batches(total, charge.unit_batch)
    return total, batches, batches * charge.price_per_unit


def _volume(total: Decimal, charge: Charge) -> _Priced:
    """Price all of the overage at the one tier it ends in."""
    overage = max(ZERO, total - charge.included_quota)
    batches = started_batches(overage, charge.unit_batch)
    if not overage:
        return overage, batches, ZERO
    tier = _tier_of(overage, charge)
    return overage, batches, batches * tier.price_per_unit + tier.flat_fee


def _graduated(total: Decimal, charge: Charge) -> _Priced:
    """Price each tier's own slice of the overage."""
    overage = max(ZERO, total - charge.included_quota)
    batches = amount = lower = ZERO
    for tier in charge.tiers:
        if overage <= lower:
            break
        upper = overage if tier.up_to is None else min(overage, tier.up_to)
        started = started_batches(upper - lower, charge.unit_batch)
        batches += started
        amount += started * tier.price_per_unit + tier.flat_fee
        lower = upper
    if lower < overage:
        raise InvariantBroken(f"charge {charge.code}: no tier for {overage} units; the last up_to must be empty")
    return overage, batches, amount


def _tier_of(overage: Decimal, charge: Charge) -> Tier:
    for tier in charge.tiers:
        if tier.up_to is None or overage <= tier.up_to:
            return tier
    raise InvariantBroken(f"charge {charge.code}: no tier for {overage} units; the last up_to must be empty")


_MODELS: dict[ChargeModel, Callable[[Decimal, Charge], _Priced]] = {
    ChargeModel.STANDARD: _standard,
    ChargeModel.PACKAGE: _package,
    ChargeModel.VOLUME: _volume,
    ChargeModel.GRADUATED: _graduated,
}
