"""Counters that reach over the end of a period, of a metric that splits them: through worker, catalog and disk."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from schemas.catalog import Aggregation, IntervalUnit
from streams import metrics
from streams.audit import live_image
from tests.unit.streams.catalogs import charge, forget, metric, plan, subscription, tell
from tests.unit.streams.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A worker that knows acme, monthly from the first of July, and a metric that splits; not open yet."""
    split = metric(split_pro_rata=True, allow_negative=True)
    return Desk(tmp_path / "desk", plan(), plan(2, unit=IntervalUnit.DAY), subscription(), split, charge())


async def use(desk: Desk, key: str, quantity: Any, start: str, end: str, **fields: Any) -> None:
    """One counter comes in; days are of 2026."""
    await desk.use(key, quantity, period_start=f"2026-{start}Z", period_end=f"2026-{end}Z", **fields)


async def totals(desk: Desk) -> dict[str, tuple[str, int]]:
    """What a cold reader of the totals holds, by first day: quantity and counters."""
    await desk.quiet()
    found = desk.latest("totals").values()
    return {each["period_start"][5:10]: (each["quantity"], each["counters"]) for each in found if each["counters"]}


async def test_each_period_gets_its_share_by_time(desk: Desk) -> None:
    """A day of which six hours lie in July; a counter that ends with July lies in it whole."""
    split, straddling = metrics.COUNTERS_SPLIT._value.get(), metrics.COUNTERS_STRADDLING._value.get()
    await desk.worker.open()
    await use(desk, "a", 100, "07-31T18:00:00", "08-01T18:00:00")
    await use(desk, "b", 1, "07-31T18:00:00", "08-01T00:00:00")
    assert await totals(desk) == {"07-01": ("26", 2), "08-01": ("75", 1)}
    assert metrics.COUNTERS_SPLIT._value.get() == split + 1
    assert metrics.COUNTERS_STRADDLING._value.get() == straddling


async def test_over_many_periods_and_over_too_many(desk: Desk) -> None:
    """A hundred days are divided over four months; a longer one counts at its start and is reported."""
    straddling = metrics.COUNTERS_STRADDLING._value.get()
    await desk.worker.open()
    await use(desk, "a", 100, "07-01T00:00:00", "10-09T00:00:00")
    divided = {"07-01": ("31", 1), "08-01": ("31", 1), "09-01": ("30", 1), "10-01": ("8", 1)}
    assert await totals(desk) == divided
    await use(desk, "b", 1000, "07-01T00:00:00", "10-09T00:00:01")
    assert await totals(desk) == divided | {"07-01": ("1031", 2)}
    assert metrics.COUNTERS_STRADDLING._value.get() == straddling + 1


async def test_corrections_leave_nothing_behind(desk: Desk) -> None:
    """Another quantity, another end, a late copy of an older revision, a resent one, the shorter one, none."""
    await desk.worker.open()
    day = ("07-31T12:00:00", "08-01T12:00:00")
    steps: list[tuple[dict[str, Any], dict[str, tuple[str, int]]]] = [
        ({"quantity": 10}, {"07-01": ("5", 1), "08-01": ("5", 1)}),
        ({"quantity": -10}, {"07-01": ("-5", 1), "08-01": ("-5", 1)}),
        ({"quantity": 10, "end": "08-02T00:00:00"}, {"07-01": ("3.333333", 1), "08-01": ("6.666667", 1)}),
        ({"quantity": 10, "end": "08-02T00:00:00"}, {"07-01": ("3.333333", 1), "08-01": ("6.666667", 1)}),
        ({"quantity": "1e-9", "revision": 1}, {"07-01": ("0.000000001", 1), "08-01": ("0", 1)}),
        ({"quantity": 99}, {"07-01": ("0.000000001", 1), "08-01": ("0", 1)}),
        ({"quantity": 10**25, "revision": 2}, {"07-01": (f"{5 * 10**24}", 1), "08-01": (f"{5 * 10**24}", 1)}),
        ({"quantity": 8, "revision": 2, "end": "08-01T00:00:00"}, {"07-01": ("8", 1)}),
        (
            {"quantity": 0, "revision": 3, "start": "08-31T12:00:00", "end": "09-01T12:00:00"},
            {"08-01": ("0", 1), "09-01": ("0", 1)},
        ),
    ]
    for fields, wanted in steps:
        quantity, start = fields.pop("quantity"), fields.pop("start", day[0])
        await use(desk, "a", str(quantity), str(start), str(fields.pop("end", day[1])), **fields)
        assert await totals(desk) == wanted


async def test_the_catalog_moves_boundaries(desk: Desk) -> None:
    """The subscription comes late, then another anchor, then another plan; a rebuild agrees each time."""
    forget(desk.catalog, subscription())
    await desk.worker.open()
    await use(desk, "a", 48, "07-31T00:00:00", "08-02T00:00:00")
    assert await totals(desk) == {}
    for order, wanted in [
        (subscription(), {"07-01": ("24", 1), "08-01": ("24", 1)}),
        (subscription(anchor=date(2026, 7, 2)), {"07-02": ("48", 1)}),
        (subscription(anchor=date(2026, 6, 30), plan=2), {"07-31": ("24", 1), "08-01": ("24", 1)}),
        (subscription(time_zone="America/Toronto"), {"07-01": ("28", 1), "08-01": ("20", 1)}),
    ]:
        desk.change(order)
        assert await totals(desk) == wanted
        await desk.worker.snapshot()
        await desk.restart()
        assert await totals(desk) == wanted
        fresh = await desk.rebuilt(desk.settings.meter_data_dir.parent / f"fresh {order.anchor} {order.time_zone}")
        image = live_image.take(0, 1, desk.worker.store, 1)
        assert live_image.compare(image, fresh.worker.store.aggregates, None).drift == []


@pytest.mark.parametrize("other", [metric(), metric(aggregation=Aggregation.MAX), metric(split_pro_rata=True)])
async def test_the_option_may_change(desk: Desk, other: Any) -> None:
    """And come before or after the first counter: what counts is what the catalog says now."""
    wanted = {"07-01": ("24", 1), "08-01": ("24", 1)} if other.split_pro_rata else {"07-01": ("48", 1)}
    await desk.worker.open()
    await use(desk, "a", 48, "07-31T00:00:00", "08-02T00:00:00")
    desk.change(other)
    assert await totals(desk) == wanted
    desk.change(metric())
    assert await totals(desk) == {"07-01": ("48", 1)}
    desk.change(metric(split_pro_rata=True))
    assert await totals(desk) == {"07-01": ("24", 1), "08-01": ("24", 1)}


async def close(desk: Desk, order: Any) -> None:
    """Invoicing has passed some periods, which are closed."""
    desk.change(order)
    await desk.quiet()
    desk.worker._closer._due_at = 0.0
    await desk.worker.close_periods()


@pytest.mark.parametrize("is_cut", [False, True])
async def test_a_split_counter_is_dropped_with_the_last_of_its_periods(desk: Desk, *, is_cut: bool) -> None:
    """Before, it may still be changed, even if the log has lost its neighbours; afterwards a change asks the log."""
    object.__setattr__(desk.settings, "meter_close_after_s", 1)
    old: dict[str, Any] = {"anchor": date(2020, 1, 1)}
    tell(desk.catalog, subscription(**old, next_invoice_date=date(2020, 2, 1)))
    await desk.worker.open()
    january: dict[str, Any] = {"period_start": "2020-01-05T00:00:00Z", "period_end": "2020-01-05T00:00:00Z"}
    across: dict[str, Any] = {"period_start": "2020-01-31T00:00:00Z", "period_end": "2020-02-02T00:00:00Z"}
    await desk.use("own", 1, **january)
    await desk.use("across", 48, **across)
    await close(desk, subscription(**old, next_invoice_date=date(2020, 2, 2)))
    assert desk.worker.store.rows.size == 1
    assert await totals(desk) == {"01-01": ("25", 2), "02-01": ("24", 1)}
    if is_cut:
        desk.log.cut(1)
    await desk.use("own", 5, **january)
    january_counts = 1 if is_cut else 5
    assert await totals(desk) == {"01-01": (str(24 + january_counts), 2), "02-01": ("24", 1)}
    await desk.use("across", 480, **across)
    assert await totals(desk) == {"01-01": (str(240 + january_counts), 2), "02-01": ("240", 1)}
    await close(desk, subscription(**old, next_invoice_date=date(2020, 4, 1)))
    assert desk.worker.store.rows.size == 0
    assert await totals(desk) == {"01-01": (str(240 + january_counts), 2), "02-01": ("240", 1)}
    await desk.worker.snapshot()
    await desk.restart()
    await desk.use("across", 4800, **across)
    assert await totals(desk) == {"01-01": (str(2400 + january_counts), 2), "02-01": ("2400", 1)}
