"""From dirty aggregates to records: the totals, and each charge's overage with the terms that gave its amount."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, DecimalException

import structlog
from pydantic import ValidationError

from schemas.catalog import Charge, ChargeModel, Metric, Subscription
from schemas.derived import Overage, Total, Version
from schemas.errors import InvariantBroken
from schemas.wire import from_micros
from streams.domain.catalog import CatalogView, is_invoiced
from streams.domain.rating import rate
from streams.domain.thresholds import Crossing, crossings
from streams.metrics import RATING_FAILURES
from streams.store.aggregates import UNASSIGNED, AggregateKey
from streams.store.partition_store import PartitionStore
from streams.store.published import Billed, Name, Published

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Derivation:
    """Records of one flush, what they bill, and the aggregates that wait for the catalog to know or mend more.

    crossings: thresholds that are reached for the first time in their period; reached: all of these, by aggregate.
    """

    totals: list[Total] = field(default_factory=list)
    overages: list[Overage] = field(default_factory=list)
    billed: Billed = field(default_factory=dict)
    reached: dict[Name, tuple[str, ...]] = field(default_factory=dict)
    crossings: list[Crossing] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)


def derive(store: PartitionStore, numbers: Sequence[int], catalog: CatalogView, epoch: int) -> Derivation:
    """Return what is to be published of these aggregates; each record is the absolute value of its key."""
    derivation = Derivation()
    quantities, outdated = store.totals(numbers), store.outdated()
    for number in numbers:
        key = store.aggregates.keys[number]
        metric = catalog.metric(key.service, key.metric)
        counters = int(store.aggregates.arrays["count"][number])
        if counters < store.published.held.get(key[:4], 0):
            continue
        is_told = number in quantities and (key.service, key.metric) not in outdated
        if metric is None or key.period_start == UNASSIGNED or not is_told:
            derivation.waiting.extend([number] if counters else [])
            continue
        version = Version(epoch, int(store.aggregates.arrays["changed"][number]), catalog.next_offset)
        total = _total(key, metric, quantities[number], counters, version)
        if not _derive_overages(derivation, total, key, store.published, catalog):
            derivation.waiting.append(number)
    return derivation


def _derive_overages(
    derivation: Derivation, total: Total, key: AggregateKey, published: Published, catalog: CatalogView
) -> bool:
    """Add a total and what its charges make of it; tell whether all of them could be rated."""
    name, former = key[:4], published.billed.get(key[:4])
    subscription = catalog.subscription(key.service, key.subscription)
    is_past = subscription is not None and is_invoiced(key.period_end, subscription)
    # An emptied aggregate ends what was billed on it, and begins nothing.
    charges = [
        each
        for each in _charges(key, former if is_past else None, subscription, catalog)
        if total.counters or each.code in (former or ())
    ]
    rated = [(charge, overage) for charge in charges if (overage := _rated(total, charge)) is not None]
    current = {charge.code: charge for charge in charges}
    derivation.overages.extend(overage for _, overage in rated)
    derivation.overages.extend(
        _withdrawn(total, charge) for code, charge in (former or {}).items() if code not in current
    )
    derivation.billed[name] = current
    known = published.reached.get(name, ())
    # What has been invoiced is past: a threshold that the catalog learns of later is not reached there any more.
    crossed = [] if is_past else list(crossings(total, rated, known))
    derivation.crossings.extend(crossed)
    if reached := (*known, *(each.name for each in crossed)):
        derivation.reached[name] = reached
        total = total.model_copy(update={"thresholds": reached})
    derivation.totals.append(total)
    return len(rated) == len(charges)


def _charges(
    key: AggregateKey, kept: Mapping[str, Charge] | None, subscription: Subscription | None, catalog: CatalogView
) -> list[Charge]:
    """Return the charges to bill: those that apply now, but for an invoiced period those that it was billed by.

    A period that is invoiced keeps the terms it was billed by, whatever has become of charges and plan: late usage
    changes its total, nothing else does. (`kept` null: it is open, or nothing of it was published yet.)
    """
    if subscription is None:
        return []
    if kept is not None:
        return list(kept.values())
    return catalog.charges(subscription, key.metric, key.period_start)


def _total(key: AggregateKey, metric: Metric, quantity: Decimal, counters: int, version: Version) -> Total:
    return Total(
        service=key.service,
        subscription=key.subscription,
        metric=key.metric,
        period_start=from_micros(key.period_start),
        period_end=from_micros(key.period_end),
        version=version,
        aggregation=metric.aggregation,
        quantity=quantity,
        counters=counters,
    )


def _rated(total: Total, charge: Charge) -> Overage | None:
    """Return a charge's overage; null, loudly, if the charge is unusable.

    One such charge must not keep the others from being rated; it is mended in the catalog.
    """
    try:
        rated = rate(total.quantity, charge)
        return Overage(
            **_common(total),
            charge=charge.code,
            quota=charge.included_quota,
            billable_units=rated.billable_units,
            batches=rated.batches,
            batch_size=charge.unit_batch,
            price_per_unit=charge.price_per_unit,
            charge_model=charge.charge_model,
            amount=rated.amount,
            currency=charge.currency,
            tiers=charge.tiers,
        )
    except (InvariantBroken, ValidationError, DecimalException) as error:
        RATING_FAILURES.inc()
        log.error("rating.failed", key=total.key, charge=charge.code, error=str(error))  # noqa: TRY400
        return None


def _withdrawn(total: Total, charge: Charge) -> Overage:
    """Return the end of a charge that was billed on this total and does not apply any more: nothing is due."""
    return Overage(
        **_common(total),
        charge=charge.code,
        quota=_ZERO,
        billable_units=_ZERO,
        batches=_ZERO,
        batch_size=Decimal(1),
        price_per_unit=_ZERO,
        charge_model=ChargeModel.STANDARD,
        amount=_ZERO,
        currency=charge.currency,
    )


def _common(total: Total) -> dict[str, object]:
    return {
        "service": total.service,
        "subscription": total.subscription,
        "metric": total.metric,
        "period_start": total.period_start,
        "period_end": total.period_end,
        "version": total.version,
        "total": total.quantity,
        "counters": total.counters,
    }


_ZERO = Decimal(0)
