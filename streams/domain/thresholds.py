"""Thresholds of usage: each is reached once in a billing period, whatever corrections do afterwards."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext

from schemas.catalog import Charge, Threshold, ThresholdKind
from schemas.derived import Overage, Total
from schemas.money import DECIMAL_CONTEXT

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A threshold that a total has reached for the first time in its period."""

    total: Total
    overage: Overage
    threshold: Threshold

    @property
    def name(self) -> str:
        """Name of the threshold among all of the total's; what `Total.thresholds` lists."""
        return threshold_name(self.overage.charge, self.threshold)


def threshold_name(charge: str, threshold: Threshold) -> str:
    """Return a name that no other threshold on the same total has."""
    return f"{charge}/{threshold.code}"


def crossings(total: Total, rated: Iterable[tuple[Charge, Overage]], known: Collection[str]) -> Iterator[Crossing]:
    """Yield the thresholds that are reached and not among the `known` ones."""
    for charge, overage in rated:
        for threshold in charge.thresholds:
            if threshold_name(charge.code, threshold) not in known and is_reached(threshold, overage):
                yield Crossing(total, overage, threshold)


def is_reached(threshold: Threshold, overage: Overage) -> bool:
    """Tell whether a value is at the threshold or above."""
    with localcontext(DECIMAL_CONTEXT):
        match threshold.kind:
            case ThresholdKind.QUANTITY:
                return overage.total >= threshold.value
            case ThresholdKind.QUOTA_PERCENT:
                return overage.quota > 0 and overage.total * _HUNDRED >= overage.quota * threshold.value
            case ThresholdKind.AMOUNT:
                return overage.amount >= threshold.value
