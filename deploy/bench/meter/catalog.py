"""The benchmark's catalog, and what its charge costs by an arithmetic of the benchmark's own."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from deploy.bench.common.kafka_io import Outgoing
from deploy.bench.meter.load import METRIC, SERVICE
from schemas.catalog import (
    Aggregation,
    CatalogEntry,
    Charge,
    ChargeModel,
    IntervalUnit,
    Metric,
    Plan,
    Service,
    Subscription,
    catalog_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHARGE = "calls"
CURRENCY = "CAD"
_ANCHOR = date(2026, 7, 1)
_PLAN_CODE = "bench-plan"
_BATCH = 1_000
_PRICE_E4 = 75  # 0.0075 a batch: the amounts need their one rounding


def amount_minor(total: int, quota: int) -> int:
    """Cents for a total under our charge, in whole numbers only: started batches times price, halves rounded up."""
    batches = -(-max(0, total - quota) // _BATCH)
    return (batches * _PRICE_E4 + 50) // 100


def entries(subscriptions: Iterable[str], quota: int) -> Iterator[Outgoing]:
    """The records of catalog.v1: one plan, one metric, one standard charge, and a subscription per name."""
    for entry in _entries(subscriptions, quota):
        yield Outgoing(entry.model_dump_json().encode(), key=catalog_key(entry).encode(), partition=0)


def _entries(subscriptions: Iterable[str], quota: int) -> Iterator[CatalogEntry]:
    yield Service(id=1, code=SERVICE, name="Benchmark")
    yield Metric(id=1, code=METRIC, name="API calls", aggregation=Aggregation.SUM)
    yield Plan(id=1, name="Monthly", unit=IntervalUnit.MONTH, count=1)
    yield Charge(
        id=1,
        code=CHARGE,
        name="API calls over quota",
        service=SERVICE,
        metric=METRIC,
        plan_code=_PLAN_CODE,
        product=1,
        included_quota=Decimal(quota),
        price_per_unit=Decimal(_PRICE_E4).scaleb(-4),
        unit_batch=Decimal(_BATCH),
        charge_model=ChargeModel.STANDARD,
        currency=CURRENCY,
    )
    for number, name in enumerate(subscriptions, start=1):
        yield Subscription(
            id=number,
            service=SERVICE,
            external_id=name,
            partner=1,
            plan=1,
            plan_code=_PLAN_CODE,
            currency=CURRENCY,
            state="3_progress",
            anchor=_ANCHOR,
        )
