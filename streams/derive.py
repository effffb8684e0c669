"""From dirty aggregates to records: the totals, and each charge's overage with the terms that gave its amount."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import structlog

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
        if metric is None or key.period_start == UNASSIGNED:
            derivation.waiting.append(number)
            continue
        version = Version(epoch, int(store.aggregates.arrays["changed"][number]), catalog.next_offset)
        total = _total(key, metric, quantities[number], int(store.aggregates.arrays["count"][number]), version)
        derivation.totals.append(total)
        try:
            derivation.overages.extend(_overages(total, catalog))
        except InvariantBroken as error:
            # One unusable charge must not keep the others from being rated; it is mended in the catalog.
            RATING_FAILURES.inc()
            log.error("rating.failed", key=total.key, error=str(error))  # noqa: TRY400 -- the trace says nothing more
            derivation.waiting.append(number)
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


def _overages(total: Total, catalog: CatalogView) -> Iterator[Overage]:
    subscription = catalog.subscription(total.service, total.subscription)
    if subscription is not None:
        for charge in catalog.charges(subscription, total.metric):
            yield _overage(total, charge)


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
