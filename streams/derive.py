"""From dirty aggregates to records: the totals, and each charge's overage with the terms that gave its amount."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException

import structlog
from pydantic import ValidationError

from schemas.catalog import Charge, Metric
from schemas.derived import Overage, Total, Version
from schemas.errors import InvariantBroken
from schemas.wire import from_micros
from streams.domain.catalog import CatalogView
from streams.domain.rating import rate
from streams.metrics import RATING_FAILURES
from streams.store.aggregates import UNASSIGNED, AggregateKey
from streams.store.partition_store import PartitionStore

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Derivation:
    """Records of one flush, and the aggregates that wait until the catalog knows their subscription or metric."""

    totals: list[Total]
    overages: list[Overage]
    waiting: list[int]


def derive(store: PartitionStore, numbers: Sequence[int], catalog: CatalogView, epoch: int) -> Derivation:
    """Return what is to be published of these aggregates; each record is the absolute value of its key."""
    derivation = Derivation([], [], [])
    quantities = store.totals(numbers)
    for number in numbers:
        key = store.aggregates.keys[number]
        metric = catalog.metric(key.service, key.metric)
        counters = int(store.aggregates.arrays["count"][number])
        if metric is None or key.period_start == UNASSIGNED:
            derivation.waiting.extend([number] if counters else [])
            continue
        version = Version(epoch, int(store.aggregates.arrays["changed"][number]), catalog.next_offset)
        total = _total(key, metric, quantities[number], counters, version)
        derivation.totals.append(total)
        overages, is_complete = _overages(total, catalog)
        derivation.overages.extend(overages)
        derivation.waiting.extend([] if is_complete else [number])
    return derivation


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


def _overages(total: Total, catalog: CatalogView) -> tuple[list[Overage], bool]:
    """Return the overage of each charge that applies, and whether all of them could be rated.

    One unusable charge must not keep the others from being rated; it is mended in the catalog.
    """
    subscription = catalog.subscription(total.service, total.subscription)
    charges = [] if subscription is None else catalog.charges(subscription, total.metric)
    overages = []
    for charge in charges:
        try:
            overages.append(_overage(total, charge))
        except (InvariantBroken, ValidationError, DecimalException) as error:
            RATING_FAILURES.inc()
            log.error("rating.failed", key=total.key, charge=charge.code, error=str(error))  # noqa: TRY400
    return overages, len(overages) == len(charges)


def _overage(total: Total, charge: Charge) -> Overage:
    rated = rate(total.quantity, charge)
    return Overage(
        service=total.service,
        subscription=total.subscription,
        metric=total.metric,
        period_start=total.period_start,
        period_end=total.period_end,
        version=total.version,
        charge=charge.code,
        total=total.quantity,
        quota=charge.included_quota,
        billable_units=rated.billable_units,
        batches=rated.batches,
        batch_size=charge.unit_batch,
        price_per_unit=charge.price_per_unit,
        charge_model=charge.charge_model,
        amount=rated.amount,
        currency=charge.currency,
        counters=total.counters,
    )
