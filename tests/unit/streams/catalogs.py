"""Catalog entries with everything a test does not care about filled in, and a view made of them."""

from datetime import date
from decimal import Decimal
from typing import Any

from schemas.catalog import (
    Aggregation,
    CatalogEntry,
    Charge,
    ChargeModel,
    IntervalUnit,
    Metric,
    Plan,
    Subscription,
    Tier,
    catalog_key,
)
from schemas.wire import CounterColumns
from streams.domain.catalog import CatalogView

SERVICE = "maps"
CODE = "api_calls"
ANCHOR = date(2026, 7, 1)


def metric(entry_id: int = 1, **fields: Any) -> Metric:
    """A metric of SERVICE, summed."""
    defaults = {"service": SERVICE, "code": CODE, "name": "Calls", "aggregation": Aggregation.SUM}
    return Metric(id=entry_id, **defaults | fields)


def plan(entry_id: int = 1, **fields: Any) -> Plan:
    """A monthly recurrence."""
    return Plan(id=entry_id, **{"name": "Monthly", "unit": IntervalUnit.MONTH, "count": 1} | fields)


def subscription(entry_id: int = 1, **fields: Any) -> Subscription:
    """A running order of plan 1 and plan code `business`, anchored on the first of July 2026."""
    defaults = {
        "service": SERVICE,
        "external_id": "acme",
        "partner": 7,
        "plan": 1,
        "plan_code": "business",
        "currency": "CAD",
        "state": "3_progress",
        "anchor": ANCHOR,
    }
    return Subscription(id=entry_id, **defaults | fields)


def charge(entry_id: int = 1, **fields: Any) -> Charge:
    """0.10 CAD per started thousand, nothing included, for the plan code `business`."""
    defaults = {
        "code": "calls",
        "name": "API calls",
        "service": SERVICE,
        "metric": CODE,
        "plan_code": "business",
        "product": 3,
        "included_quota": Decimal(0),
        "price_per_unit": Decimal("0.10"),
        "unit_batch": Decimal(1000),
        "charge_model": ChargeModel.STANDARD,
        "currency": "CAD",
    }
    return Charge(id=entry_id, **defaults | fields)


def tiers(*rows: tuple[str | None, str]) -> tuple[Tier, ...]:
    """Tiers of (up_to, price)."""
    return tuple(
        Tier(up_to=None if up_to is None else Decimal(up_to), price_per_unit=Decimal(price)) for up_to, price in rows
    )


def view(*entries: CatalogEntry) -> CatalogView:
    """A catalog of these entries, read from offset 0."""
    catalog = CatalogView()
    for entry in entries:
        tell(catalog, entry)
    return catalog


def tell(catalog: CatalogView, entry: CatalogEntry) -> Any:
    """Let the catalog read one more record; returns what it touches."""
    return catalog.update(catalog_key(entry), entry.model_dump_json().encode(), catalog.next_offset)


def forget(catalog: CatalogView, entry: CatalogEntry) -> Any:
    """Let the catalog read the entry's tombstone; returns what it touches."""
    return catalog.update(catalog_key(entry), None, catalog.next_offset)


Row = tuple[str, str, str, int, Any]


def columns(
    *rows: Row,
    revisions: list[int] | None = None,
    properties: list[Any] | None = None,
    lengths: list[int] | None = None,
) -> CounterColumns:
    """Counters of SERVICE from (subscription, metric, key, start in microseconds, quantity).

    Each lasts as many microseconds as `lengths` says, or a second.
    """
    lasting = lengths or [1_000_000] * len(rows)
    subscriptions: dict[str, int] = {}
    metrics: dict[str, int] = {}
    return CounterColumns(
        service=SERVICE,
        subscription=[subscriptions.setdefault(row[0], len(subscriptions)) for row in rows],
        metric=[metrics.setdefault(row[1], len(metrics)) for row in rows],
        subscriptions=list(subscriptions),
        metrics=list(metrics),
        periods=[(row[3], row[3] + length) for row, length in zip(rows, lasting, strict=True)],
        period=list(range(len(rows))),
        keys=[row[2] for row in rows],
        quantities=[row[4] for row in rows],
        revisions=revisions,
        properties=properties,
    )
