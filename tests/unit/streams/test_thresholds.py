"""`usage.threshold_reached`: once per threshold and period, whatever is corrected, restarted or rebuilt."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.catalog import Threshold, ThresholdKind
from schemas.errors import BrokerUnavailable
from schemas.events import LifecycleEvent
from tests.unit.streams.catalogs import charge, forget, metric, plan, subscription, tell
from tests.unit.streams.desk import Desk

THRESHOLDS = (
    Threshold(code="many", kind=ThresholdKind.QUANTITY, value=Decimal(100)),
    Threshold(code="most", kind=ThresholdKind.QUOTA_PERCENT, value=Decimal(80)),
    Threshold(code="dear", kind=ThresholdKind.AMOUNT, value=Decimal(5)),
)
TERMS: dict[str, Any] = {"included_quota": Decimal(1000), "unit_batch": Decimal(1), "price_per_unit": Decimal("0.1")}
PRICED = charge(thresholds=THRESHOLDS, **TERMS)


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    """An open worker; a charge with one threshold of each kind, reached at 100, 800 and 1,050 units."""
    desk = Desk(tmp_path, plan(), subscription(customer="c7"), metric(), PRICED)
    await desk.worker.open()
    return desk


def events(desk: Desk) -> list[LifecycleEvent]:
    """Everything on the events topic, oldest first."""
    records = desk.publisher.topics.records.get("t.events.v1", ())
    return [LifecycleEvent.model_validate_json(each.value) for each in records]


def reached(desk: Desk) -> list[str]:
    """The thresholds told of, oldest first."""
    return [event.data["threshold"] for event in events(desk)]


async def test_each_is_told_once_when_it_is_reached(desk: Desk) -> None:
    """At the value, not before it, and not again however usage goes on."""
    for key, quantity, told in (
        ("a", 99, 0),
        ("a", 100, 1),
        ("b", 699, 1),
        ("b", 700, 2),
        ("c", 249, 2),
        ("c", 250, 3),
    ):
        await desk.use(key, quantity)
        await desk.worker.flush()
        assert reached(desk) == ["many", "most", "dear"][:told]
    await desk.use("d", 5000)
    await desk.worker.flush()
    assert len(reached(desk)) == 3


async def test_all_that_are_passed_in_one_jump_are_told(desk: Desk) -> None:
    """With the values of then; the record is one that webhooks can be made of."""
    await desk.use("a", 2000)
    await desk.worker.flush()
    assert sorted(reached(desk)) == ["dear", "many", "most"]
    [event] = [each for each in events(desk) if each.data["threshold"] == "most"]
    assert (event.type, event.service, event.subscription, event.customer) == (
        "usage.threshold_reached",
        "maps",
        "acme",
        "c7",
    )
    assert event.data == {
        "metric": "api_calls",
        "charge": "calls",
        "threshold": "most",
        "kind": "quota_percent",
        "value": "80",
        "period_start": "2026-07-01T00:00:00Z",
        "period_end": "2026-08-01T00:00:00Z",
        "quantity": "2000",
        "included_quota": "1000",
        "amount": "100",
        "currency": "CAD",
    }
    record = desk.publisher.topics.records["t.events.v1"][0]
    assert (record.key, dict(record.headers)["ce_id"].decode()) == (b"maps/acme", events(desk)[0].id)


@pytest.mark.parametrize("with_snapshots", [False, True])
async def test_nothing_arms_it_again_within_its_period(desk: Desk, *, with_snapshots: bool) -> None:
    """Neither a correction below it, nor a restart, nor a rebuild from nothing; the next period does."""
    await desk.use("a", 150)
    await desk.worker.flush()
    await desk.use("a", 50)
    await desk.worker.flush()
    await desk.worker.snapshot()
    await desk.use("b", 100)
    await desk.restart(with_snapshots=with_snapshots)
    await desk.quiet()
    await desk.use("b", 120)
    await desk.worker.flush()
    assert reached(desk) == ["many"]
    await desk.use("c", 100, period_start="2026-08-03T00:00:00Z", period_end="2026-08-03T00:00:00Z")
    await desk.worker.flush()
    assert reached(desk) == ["many", "many"]
    assert len({event.id for event in events(desk)}) == 2


async def test_a_failed_publication_tells_it_under_the_same_id(desk: Desk) -> None:
    """Event and total go out together, or neither does; what is tried again bears the id of the first try."""
    await desk.use("a", 150)
    desk.publisher.is_down = True
    with pytest.raises(BrokerUnavailable):
        await desk.worker.flush()
    desk.publisher.is_down = False
    await desk.worker.flush()
    await desk.worker.flush()
    assert reached(desk) == ["many"]
    first = events(desk)[0].id
    desk.publisher.topics.records.clear()
    await desk.restart(with_snapshots=False)
    await desk.quiet()
    assert [event.id for event in events(desk)] == [first]


async def test_a_threshold_set_later_is_told_for_open_periods_only(tmp_path: Path) -> None:
    """A period that is invoiced is past."""
    desk = Desk(tmp_path, plan(), subscription(next_invoice_date=date(2026, 9, 1)), metric(), charge(**TERMS))
    await desk.worker.open()
    for month in ("07", "09"):
        await desk.use(month, 150, period_start=f"2026-{month}-03T00:00:00Z", period_end=f"2026-{month}-03T00:00:00Z")
    await desk.worker.flush()
    desk.change(PRICED)
    await desk.worker.flush()
    await desk.use("late", 150)
    await desk.worker.flush()
    assert [event.data["period_start"] for event in events(desk)] == ["2026-09-01T00:00:00Z"]


async def test_totals_carry_what_was_reached(desk: Desk) -> None:
    """So that a worker that starts from nothing knows, even if the charge is gone by then."""
    await desk.use("a", 150)
    await desk.worker.flush()
    [total] = desk.latest("totals").values()
    assert total["thresholds"] == ["calls/many"]
    forget(desk.catalog, PRICED)
    await desk.restart(with_snapshots=False)
    await desk.quiet()
    tell(desk.catalog, PRICED)
    await desk.restart()
    await desk.quiet()
    assert reached(desk) == ["many"]
    assert json.loads(desk.publisher.topics.records["t.totals.v1"][-1].value)["thresholds"] == ["calls/many"]
