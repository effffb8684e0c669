"""What is published is withdrawn when the store does not give it any more, whatever was lost in between."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.catalog import Aggregation, CatalogEntry, ChargeModel
from schemas.errors import ConfigurationError
from tests.unit.streams.catalogs import charge, forget, metric, plan, subscription, tell, tiers
from tests.unit.streams.desk import Desk

JULY = "2026-07-01T00:00:00Z"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A worker on an empty folder and an empty log, not open yet."""
    return Desk(tmp_path)


CHANGES: dict[str, Callable[[Desk], Any]] = {
    "anchor": lambda desk: tell(desk.catalog, subscription(anchor=date(2026, 6, 20))),
    "recurrence": lambda desk: [
        tell(desk.catalog, plan(2, count=3)),
        tell(desk.catalog, subscription(plan=2, anchor=date(2026, 6, 1))),
    ],
    "time zone": lambda desk: tell(desk.catalog, subscription(time_zone="America/Toronto")),
    "plan code": lambda desk: tell(desk.catalog, subscription(plan_code="starter")),
    "charge deleted": lambda desk: forget(desk.catalog, charge()),
    "charge renamed": lambda desk: tell(desk.catalog, charge(code="other")),
    "subscription deleted": lambda desk: forget(desk.catalog, subscription()),
}


@pytest.mark.parametrize("with_snapshots", [False, True])
@pytest.mark.parametrize("change", CHANGES)
async def test_what_ceased_to_be_while_the_worker_was_away_is_withdrawn(
    desk: Desk, tmp_path: Path, change: str, *, with_snapshots: bool
) -> None:
    """Killed right after a publication that no snapshot knows of, it stands like a worker that starts from nothing."""
    await desk.worker.open()
    await desk.use("a", 1)
    await desk.worker.snapshot()
    await desk.use("b", 1500)
    assert await desk.amounts() == ["0.2"]
    CHANGES[change](desk)
    await desk.restart(with_snapshots=with_snapshots)
    await desk.feed()
    await desk.worker.flush()
    fresh = await desk.rebuilt(tmp_path / "fresh")
    assert desk.standing() == fresh.standing()
    assert f"maps/acme/calls/{JULY}" not in desk.standing()


async def test_a_charge_known_to_no_snapshot_is_withdrawn(desk: Desk) -> None:
    """It came and went after the snapshot; only its record tells of it."""
    await desk.worker.open()
    await desk.use("a", 1500)
    assert await desk.amounts() == ["0.2"]
    await desk.worker.snapshot()
    desk.change(charge(2, code="extra", price_per_unit=Decimal(3)))
    assert await desk.amounts() == ["0.2", "6"]
    tell(desk.catalog, charge(2, code="extra", active=False))
    await desk.restart()
    assert await desk.amounts() == ["0.2", "0"]


async def test_nothing_older_is_published_while_the_worker_catches_up(desk: Desk) -> None:
    """Totals wait until the store is as far as they are; refused input need not."""
    await desk.worker.open()
    for number in range(4):
        await desk.use(f"k{number}", 1)
    assert await desk.totals() == ["4"]
    await desk.restart(with_snapshots=False)
    for offset in range(3):
        await desk.worker.apply(desk.log.record(offset))
        assert await desk.totals() == []
    await desk.feed()
    assert await desk.totals() == ["4"]


async def test_a_restart_reads_only_what_it_may_not_know(desk: Desk) -> None:
    """The snapshot remembers where its own publications end."""
    await desk.worker.open()
    for number in range(5):
        await desk.use(f"k{number}", 1)
        await desk.worker.flush()
    await desk.worker.snapshot()
    desk.publisher.topics.reads = 0
    await desk.restart()
    await desk.worker.flush()
    assert desk.publisher.topics.reads == 0


async def test_versions_never_fall(desk: Desk) -> None:
    """A key whose last change is another one after a replay still follows what was published of it."""
    await desk.worker.open()
    await desk.use("a", 1)
    await desk.use("b", 10)
    desk.change(subscription(anchor=date(2026, 7, 4)))
    await desk.use("b", 20, period_start="2026-07-05T00:00:00Z", period_end="2026-07-05T00:00:00Z")
    assert sorted(await desk.totals()) == ["0", "1", "20"]
    tell(desk.catalog, subscription())
    await desk.restart(with_snapshots=False)
    await desk.feed()
    await desk.worker.flush()
    assert {key: each["quantity"] for key, each in desk.latest("totals").items() if each["counters"]} == {
        f"maps/acme/api_calls/{JULY}": "21"
    }


async def test_a_store_made_anew_withdraws_and_outlives(desk: Desk) -> None:
    """What only the former store knew goes to zero, under greater versions."""
    await desk.worker.open()
    await desk.use("a", 1, properties={"seat": "x"})
    await desk.use("a", 1, period_start="2026-08-03T00:00:00Z", period_end="2026-08-03T00:00:00Z")
    assert await desk.totals() == ["0", "1"]
    desk.change(metric(aggregation=Aggregation.UNIQUE_COUNT, unique_property="seat"))
    await desk.use("b", 7, properties={"seat": "y"})
    await desk.worker.flush()
    assert {key: each["quantity"] for key, each in desk.latest("totals").items()} == {
        f"maps/acme/api_calls/{JULY}": "1",
        "maps/acme/api_calls/2026-08-01T00:00:00Z": "1",
    }


TERMS: list[CatalogEntry] = [
    charge(price_per_unit=Decimal("0.07")),
    charge(charge_model=ChargeModel.PACKAGE),
    charge(charge_model=ChargeModel.VOLUME, unit_batch=Decimal(1), tiers=tiers(("1000", "0.01"), (None, "0.02"))),
    charge(charge_model=ChargeModel.GRADUATED, unit_batch=Decimal(1), tiers=tiers(("1000", "0.01"), (None, "0.02"))),
]


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("deleted", [False, True])
async def test_a_rebuild_from_nothing_keeps_the_terms_of_invoiced_periods(
    tmp_path: Path, terms: CatalogEntry, *, deleted: bool
) -> None:
    """They are read back from what was published; late usage changes the total, the terms stay those of the invoice."""
    desk = Desk(tmp_path, plan(), subscription(), metric(), terms)
    await desk.worker.open()
    await desk.use("a", 1500)
    await desk.worker.flush()
    before = desk.latest("overage")
    tell(desk.catalog, subscription(next_invoice_date=date(2026, 9, 1), plan_code="starter"))
    if deleted:
        forget(desk.catalog, terms)
    else:
        tell(desk.catalog, charge(price_per_unit=Decimal(9)))
    tell(desk.catalog, charge(5, code="new", plan_code="starter", price_per_unit=Decimal(77)))
    await desk.restart(with_snapshots=False)
    await desk.feed()
    await desk.worker.flush()
    after = desk.latest("overage")
    assert {key: each | {"version": 0} for key, each in after.items()} == {
        key: each | {"version": 0} for key, each in before.items()
    }
    await desk.use("late", 1500)
    await desk.worker.flush()
    fresh = Desk(tmp_path / "fresh", plan(), subscription(), metric(), terms)
    await fresh.worker.open()
    await fresh.use("a", 3000)
    await fresh.worker.flush()
    assert desk.standing().keys() == fresh.standing().keys()
    name = f"maps/acme/calls/{JULY}"
    assert desk.latest("overage")[name]["amount"] == fresh.latest("overage")[name]["amount"]


async def test_a_log_that_is_too_short_lowers_no_total(desk: Desk) -> None:
    """Retention took counters that were published; their total stays, with an alarm, until it is exceeded."""
    await desk.worker.open()
    for number in range(3):
        await desk.use(f"k{number}", 10)
    assert await desk.totals() == ["30"]
    desk.log.cut(2)
    await desk.restart(with_snapshots=False)
    await desk.feed()
    assert await desk.totals() == []
    await desk.use("k3", 10)
    assert await desk.totals() == []
    await desk.worker.snapshot()
    await desk.restart()
    await desk.use("k4", 10)
    assert await desk.totals() == ["30"]


async def test_a_short_log_still_withdraws_what_the_catalog_does_not_give(desk: Desk) -> None:
    """A period that no longer exists holds nothing, whatever the log has lost."""
    await desk.worker.open()
    for number in range(3):
        await desk.use(f"k{number}", 10)
    assert await desk.totals() == ["30"]
    desk.log.cut(2)
    tell(desk.catalog, subscription(anchor=date(2026, 6, 20)))
    await desk.restart(with_snapshots=False)
    await desk.feed()
    assert sorted(await desk.totals()) == ["0", "10"]


async def test_a_store_is_kept_when_the_log_is_too_short_to_make_it_anew(desk: Desk) -> None:
    """What it cannot tell is not published; when the metric is as it was, everything goes on."""
    await desk.worker.open()
    for number in range(3):
        await desk.use(f"k{number}", 10, properties={"seat": "a"})
    assert await desk.totals() == ["30"]
    desk.log.cut(2)
    desk.change(metric(aggregation=Aggregation.UNIQUE_COUNT, unique_property="seat"))
    await desk.use("k3", 10, properties={"seat": "b"})
    assert await desk.totals() == []
    desk.change(metric())
    assert await desk.totals() == ["40"]


async def test_totals_beyond_the_logs_end_are_a_wrong_setting(desk: Desk) -> None:
    """The usage topic was made anew, the derived ones were not."""
    await desk.worker.open()
    await desk.use("a", 1)
    await desk.worker.flush()
    desk.log.records.clear()
    desk.log.end = 0
    await desk.restart(with_snapshots=False)
    with pytest.raises(ConfigurationError, match="FUSION_USAGE_EPOCH"):
        await desk.worker.flush()
