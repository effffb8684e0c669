"""From aggregates to records."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from schemas.catalog import Aggregation, ChargeModel
from schemas.derived import Overage, Version
from schemas.wire import to_micros
from streams.domain.catalog import CatalogView
from streams.partition.derive import Derivation, derive
from streams.store.partition_store import PartitionStore
from tests.unit.streams.catalogs import CODE, charge, columns, forget, metric, plan, subscription, tell, tiers, view

if TYPE_CHECKING:
    from collections.abc import Callable

JULY = to_micros(datetime(2026, 7, 3, tzinfo=UTC))
EPOCH = 4


def used(quantity: int, catalog: CatalogView, offset: int = 9) -> PartitionStore:
    """A store in which `acme` used so many calls in July."""
    store = PartitionStore(1, catalog)
    store.apply(offset, columns(("acme", CODE, "a", JULY, quantity)))
    return store


def publish(store: PartitionStore, catalog: CatalogView) -> Derivation:
    """Derive everything and note it as published."""
    derivation = derive(store, range(len(store.aggregates)), catalog, EPOCH)
    store.published.billed.update(derivation.billed)
    return derivation


def amounts(derivation: Derivation) -> dict[str, Decimal]:
    """Amount by charge code."""
    return {overage.charge: overage.amount for overage in derivation.overages}


def test_an_overage_carries_its_arithmetic() -> None:
    """Terms, units, batches and version are those of the rating."""
    catalog = view(plan(), subscription(), metric(), charge(included_quota=Decimal(100)))
    [overage] = derive(used(1101, catalog), [0], catalog, EPOCH).overages
    assert overage == Overage(
        service="maps",
        subscription="acme",
        metric=CODE,
        period_start=datetime(2026, 7, 1, tzinfo=UTC),
        period_end=datetime(2026, 8, 1, tzinfo=UTC),
        version=Version(EPOCH, 9, 4),
        charge="calls",
        total=Decimal(1101),
        quota=Decimal(100),
        billable_units=Decimal(1001),
        batches=Decimal(2),
        batch_size=Decimal(1000),
        price_per_unit=Decimal("0.10"),
        charge_model=ChargeModel.STANDARD,
        amount=Decimal("0.20"),
        currency="CAD",
        counters=1,
    )
    assert overage.key == "maps/acme/calls/2026-07-01T00:00:00Z"


def test_what_the_catalog_does_not_know_waits() -> None:
    """Without metric or subscription nothing is published; emptied aggregates do not wait for ever."""
    catalog = view(plan())
    store = used(5, catalog)
    assert derive(store, [0], catalog, EPOCH) == Derivation(waiting=[0])
    tell(catalog, metric())
    assert derive(store, [0], catalog, EPOCH).waiting == [0]
    tell(catalog, subscription())
    store.reassign_subscription("maps", "acme")
    derivation = derive(store, [0, 1], catalog, EPOCH)
    assert (len(derivation.totals), derivation.waiting) == (1, [])


def test_a_charge_that_ceases_to_apply_is_withdrawn() -> None:
    """Its record ends at zero, whether it was deleted, switched off, or the order changed its plan."""
    changes: list[Callable[[CatalogView], object]] = [
        lambda catalog: forget(catalog, charge()),
        lambda catalog: tell(catalog, charge(active=False)),
        lambda catalog: tell(catalog, subscription(plan_code="starter")),
        lambda catalog: forget(catalog, subscription()),
    ]
    for change in changes:
        catalog = view(plan(), subscription(), metric(), charge())
        store = used(1500, catalog)
        assert amounts(publish(store, catalog)) == {"calls": Decimal("0.20")}
        change(catalog)
        withdrawn = publish(store, catalog)
        assert amounts(withdrawn) == {"calls": 0}
        assert withdrawn.overages[0].total == 1500
        assert amounts(publish(store, catalog)) == {}


def test_an_invoiced_period_keeps_the_plan_it_was_billed_by() -> None:
    """Late usage follows the charges of then, not those of the plan that the order has moved to."""
    catalog = view(plan(), subscription(), metric(), charge(), charge(2, code="other", plan_code="starter"))
    store = used(1500, catalog)
    publish(store, catalog)
    tell(catalog, subscription(plan_code="starter", next_invoice_date=date(2026, 9, 1)))
    store.apply(10, columns(("acme", CODE, "late", JULY, 1000)))
    assert amounts(publish(store, catalog)) == {"calls": Decimal("0.30")}


def test_an_unusable_charge_keeps_no_other_from_being_rated() -> None:
    """It waits to be mended and is not taken for one that has ceased to apply."""
    absurd: list[dict[str, Any]] = [
        {"charge_model": ChargeModel.VOLUME, "tiers": tiers(("10", "1"))},
        {"price_per_unit": Decimal(10**29), "unit_batch": Decimal("1E-18")},
    ]
    for fields in absurd:
        catalog = view(plan(), subscription(), metric(), charge(), charge(2, code="bad"))
        store = used(10**29, catalog)
        publish(store, catalog)
        tell(catalog, charge(2, code="bad", **fields))
        derivation = publish(store, catalog)
        assert amounts(derivation).keys() == {"calls"}
        assert derivation.waiting == [0]


def test_every_aggregation_is_rated_by_its_total() -> None:
    """What the metric makes of the counters is what the charge prices."""
    for aggregation, total in ((Aggregation.MAX, 7), (Aggregation.LAST, 3), (Aggregation.UNIQUE_COUNT, 2)):
        catalog = view(plan(), subscription(), metric(aggregation=aggregation), charge(unit_batch=Decimal(1)))
        store = PartitionStore(1, catalog)
        store.apply(0, columns(("acme", CODE, "a", JULY, 7), ("acme", CODE, "b", JULY + 1, 3)))
        [overage] = derive(store, [0], catalog, EPOCH).overages
        assert (overage.total, overage.batches) == (Decimal(total), Decimal(total))
