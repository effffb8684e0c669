"""Closing periods: rows leave memory, totals stay; what comes late is counted once or refused once."""

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from schemas.catalog import Aggregation, CatalogEntry
from streams import metrics
from streams.audit import live_image
from streams.store.counters import CounterArrays
from streams.store.partition_store import PartitionStore
from tests.unit.streams.catalogs import CODE, SERVICE, charge, columns, metric, plan, subscription, tell, view
from tests.unit.streams.desk import Desk

SEATS = "seats"
JANUARY, FEBRUARY, MARCH = "2020-01-05", "2020-02-05", "2020-03-05"


def order(**fields: Any) -> CatalogEntry:
    """Acme since 2020; January and February have been invoiced."""
    return subscription(**{"anchor": date(2020, 1, 1), "next_invoice_date": date(2020, 4, 1)} | fields)


def seats() -> CatalogEntry:
    """A metric that counts distinct seats."""
    return metric(2, code=SEATS, aggregation=Aggregation.UNIQUE_COUNT, unique_property="seat")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A worker that knows acme, not open yet."""
    return Desk(tmp_path / "desk", plan(), order(), metric(), seats(), charge())


async def use(desk: Desk, key: str, quantity: int, day: str = JANUARY, **fields: Any) -> None:
    """One counter comes in."""
    at = f"{day}T00:00:00Z"
    await desk.use(key, quantity, period_start=at, period_end=at, **fields)


async def close(desk: Desk) -> int:
    """Everything is published, and an hour has passed."""
    await desk.worker.catch_up()
    desk.worker._closer._due_at = 0.0
    return await desk.worker.close_periods()


def totals(desk: Desk) -> dict[str, str]:
    """What a cold reader of the totals holds, by metric and month."""
    return {
        f"{each['metric']} {each['period_start'][:7]}": each["quantity"]
        for each in desk.latest("totals").values()
        if each["counters"]
    }


def remakes() -> float:
    """How often late counters have had a store made anew."""
    return float(metrics.REMAKES.labels("late_counter")._value.get())


async def filled(desk: Desk) -> None:
    """Two closed months, three keys in January, one in February; one key in April, which is open."""
    await desk.worker.open()
    for key, quantity in (("a", 1), ("b", 20), ("c", 300)):
        await use(desk, key, quantity)
    await use(desk, "d", 4000, FEBRUARY)
    await use(desk, "e", 7, "2020-04-05")
    dropped = metrics.ROWS_CLOSED._value.get()
    assert await close(desk) == 4
    assert metrics.ROWS_CLOSED._value.get() == dropped + 4
    assert desk.worker.store.rows.size == 1


CLOSED = {f"{CODE} 2020-01": "321", f"{CODE} 2020-02": "4000", f"{CODE} 2020-04": "7"}


async def test_rows_go_and_totals_stay(desk: Desk) -> None:
    """Nothing is published for it, and an audit finds the same sums and counts."""
    await filled(desk)
    assert totals(desk) == CLOSED
    desk.publisher.published.clear()
    await desk.worker.catch_up()
    assert desk.publisher.published == []
    image = live_image.take(0, 1, desk.worker.store, 1)
    fresh = await desk.rebuilt(desk.settings.meter_data_dir.parent / "fresh")
    assert live_image.compare(image, fresh.worker.store.aggregates, None).drift == []


async def test_a_new_counter_of_a_closed_period_is_added(desk: Desk) -> None:
    """Without a look at the log; so after a restart, and when the period is closed once more."""
    await filled(desk)
    before, reads = remakes(), len(desk.log.reads)
    await use(desk, "late", 1000)
    await desk.worker.snapshot()
    await desk.restart()
    await use(desk, "later", 10_000)
    assert await close(desk) == 2
    await use(desk, "latest", 100_000)
    await desk.quiet()
    assert totals(desk) == CLOSED | {f"{CODE} 2020-01": "111321"}
    assert (remakes(), len(desk.log.reads)) == (before, reads)


@pytest.mark.parametrize(
    ("counter", "changed"),
    [
        (("b", 21, JANUARY), {f"{CODE} 2020-01": "322"}),
        (("b", 20, JANUARY), {}),
        (("b", 20, "2020-04-06"), {f"{CODE} 2020-01": "301", f"{CODE} 2020-04": "27"}),
        (("b", 20, FEBRUARY), {f"{CODE} 2020-01": "301", f"{CODE} 2020-02": "4020"}),
    ],
)
async def test_a_change_of_a_dropped_counter_is_counted_once(
    desk: Desk, counter: tuple[str, int, str], changed: dict[str, str]
) -> None:
    """Replaced, resent, moved to an open period, moved to a closed one: from the log; two of them cost one replay."""
    await filled(desk)
    before = remakes()
    await use(desk, *counter)
    await use(desk, *counter)
    assert await desk.worker.close_periods() == 0
    await desk.quiet()
    assert totals(desk) == CLOSED | changed
    assert remakes() == before + 1
    assert await close(desk) >= 3
    assert desk.refused() == []


@pytest.mark.parametrize("kind", [Aggregation.MAX, Aggregation.LAST])
async def test_extremes_of_a_closed_period(desk: Desk, kind: Aggregation) -> None:
    """A lower value changes neither; a greater and later one does; a lowered maximum asks the log."""
    tell(desk.catalog, metric(aggregation=kind))
    await filled(desk)
    assert totals(desk)[f"{CODE} 2020-01"] == "300"
    await use(desk, "before", 2, "2020-01-02")
    await desk.quiet()
    assert totals(desk)[f"{CODE} 2020-01"] == "300"
    await use(desk, "after", 500, "2020-01-07")
    await desk.quiet()
    assert totals(desk)[f"{CODE} 2020-01"] == "500"
    await close(desk)
    await use(desk, "after", 3, "2020-01-07")
    await desk.quiet()
    assert totals(desk)[f"{CODE} 2020-01"] == ("300" if kind is Aggregation.MAX else "3")


async def test_distinct_values_of_a_closed_period(desk: Desk) -> None:
    """Whether a value is new, only the rows can tell."""
    await desk.worker.open()
    for key, seat in zip("abc", "xyx", strict=True):
        await use(desk, key, 1, metric=SEATS, properties={"seat": seat})
    assert await close(desk) == 3
    before = remakes()
    await use(desk, "d", 1, metric=SEATS, properties={"seat": "y"})
    await use(desk, "e", 1, metric=SEATS, properties={"seat": "z"})
    await desk.quiet()
    assert totals(desk) == {f"{SEATS} 2020-01": "3"}
    assert remakes() == before + 1


async def test_a_metric_that_counts_something_else_now(desk: Desk) -> None:
    """What dropped rows do not tell comes from the log."""
    await filled(desk)
    desk.change(order(next_invoice_date=date(2020, 1, 1)))
    desk.change(metric(aggregation=Aggregation.MAX))
    await desk.quiet()
    assert totals(desk)[f"{CODE} 2020-01"] == "300"
    desk.change(metric(aggregation=Aggregation.UNIQUE_COUNT))
    await desk.quiet()
    assert totals(desk)[f"{CODE} 2020-01"] == "3"


async def test_a_metric_that_counts_distinct_values_again(desk: Desk) -> None:
    """Its rows were dropped while it did not."""
    tell(desk.catalog, order(next_invoice_date=date(2020, 1, 1)))
    await desk.worker.open()
    for key, seat in zip("abc", "xyx", strict=True):
        await use(desk, key, 10, metric=SEATS, properties={"seat": seat})
    desk.change(metric(2, code=SEATS))
    await desk.quiet()
    desk.change(order())
    assert await close(desk) == 3
    assert totals(desk) == {f"{SEATS} 2020-01": "30"}
    desk.change(order(next_invoice_date=date(2020, 1, 1)))
    desk.change(seats())
    await desk.quiet()
    assert totals(desk) == {f"{SEATS} 2020-01": "2"}


async def test_a_subscription_that_was_away(desk: Desk) -> None:
    """Its counters of meanwhile join what was closed: added where that can be done, else the total stays as it is."""
    await desk.worker.open()
    await use(desk, "a", 1)
    await use(desk, "seat", 1, metric=SEATS, properties={"seat": "x"})
    assert await close(desk) == 2
    desk.log.append(b"the log has lost what came before")
    desk.log.cut(2)
    desk.delete(order())
    await close(desk)
    await desk.quiet()
    await use(desk, "b", 5)
    await use(desk, "other seat", 1, metric=SEATS, properties={"seat": "y"})
    await desk.quiet()
    desk.change(order())
    await close(desk)
    await desk.quiet()
    assert totals(desk) == {f"{CODE} 2020-01": "6", f"{SEATS} 2020-01": "1"}


async def test_another_anchor_moves_what_was_dropped(desk: Desk) -> None:
    """The periods themselves are others now; with the next look at what to close, as that takes a replay."""
    await filled(desk)
    await desk.worker.snapshot()
    tell(desk.catalog, order(anchor=date(2020, 1, 4)))
    await desk.restart()
    await desk.quiet()
    assert totals(desk) == CLOSED
    assert await close(desk) == 0
    await desk.quiet()
    fresh = await desk.rebuilt(desk.settings.meter_data_dir.parent / "fresh")
    assert set(totals(desk)) == set(CLOSED)
    given = [{key for key, each in one.latest("totals").items() if each["counters"]} for one in (desk, fresh)]
    assert (totals(desk), given[0]) == (totals(fresh), given[1])


@pytest.mark.parametrize(
    "entry",
    [order(next_invoice_date=date(2020, 2, 1)), order(next_invoice_date=None), metric(active=False)],
    ids=["not invoiced", "never invoiced", "no metric"],
)
async def test_what_is_not_closed(desk: Desk, entry: CatalogEntry) -> None:
    """Only what is invoiced, known, past grace and published."""
    await desk.worker.open()
    await use(desk, "a", 1)
    tell(desk.catalog, entry)
    assert await close(desk) == 0


@pytest.mark.parametrize("after_s", [0, 10**10])
async def test_periods_within_grace_stay_open(desk: Desk, after_s: int) -> None:
    """And all of them where the setting says so."""
    object.__setattr__(desk.settings, "meter_close_after_s", after_s)
    await desk.worker.open()
    await use(desk, "a", 1)
    assert await close(desk) == 0


async def test_what_is_dirty_or_too_little_stays(desk: Desk) -> None:
    """Unpublished totals, and less than a tenth of all rows."""
    await desk.worker.open()
    await use(desk, "a", 1)
    desk.worker._closer._due_at = 0.0
    assert await desk.worker.close_periods() == 0
    await desk.worker.apply(desk.log.append(desk.batch_of(*(april(f"k{number}") for number in range(10)))))
    assert await close(desk) == 0


def april(key: str) -> dict[str, Any]:
    """A counter of an open period."""
    at = "2020-04-05T00:00:00Z"
    return {"idempotency_key": key, "quantity": 1, "period_start": at, "period_end": at}


async def test_a_catalog_change_meanwhile_gives_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next pass looks anew."""
    await desk.worker.open()
    await use(desk, "a", 1)
    whole = PartitionStore.close

    def close_slowly(store: PartitionStore, numbers: list[int]) -> Iterable[None]:
        for _ in whole(store, numbers):
            desk.change(charge(price_per_unit="5"))
            yield

    monkeypatch.setattr(PartitionStore, "close", close_slowly)
    assert await close(desk) == 0
    assert desk.worker.store.rows.size == 1


async def test_what_the_log_has_lost_is_refused_once(desk: Desk) -> None:
    """January's counters have left the log, February's have not: those can still be changed."""
    await filled(desk)
    desk.log.cut(3)
    before = remakes()
    await desk.worker.apply(desk.log.append(desk.batch_of(january("b", 9000), april("good"), january("fresh", 5))))
    await use(desk, "d", 4001, FEBRUARY)
    await desk.quiet()
    wanted = CLOSED | {f"{CODE} 2020-01": "326", f"{CODE} 2020-02": "4001", f"{CODE} 2020-04": "8"}
    assert totals(desk) == wanted
    assert desk.refused() == [(5, 0)]
    assert remakes() == before + 1
    [record] = desk.publisher.topics.records["t.rejected.v1"]
    rejected = json.loads(record.value)
    assert (rejected["reason"], bool(rejected["original"])) == ("period_closed", True)
    await still_so(desk, wanted, [(5, 0)])


async def test_a_counted_change_that_no_replay_can_count_again_is_refused_once(desk: Desk) -> None:
    """Counted and published; then a crash before any snapshot, and the log loses what counting it took."""
    await filled(desk)
    await desk.worker.snapshot()
    bad = january("", 1)
    await desk.worker.apply(desk.log.append(desk.batch_of(bad, january("b", 21), january("c", 301))))
    await desk.quiet()
    assert totals(desk) == CLOSED | {f"{CODE} 2020-01": "323"}
    assert desk.refused() == [(5, 0)]
    desk.log.cut(3)
    for _ in range(2):
        await desk.restart()
        await desk.feed()
        await desk.quiet()
        assert totals(desk) == CLOSED
        assert desk.refused() == [(5, 0), (5, 1), (5, 2)]
    last = json.loads(desk.publisher.topics.records["t.rejected.v1"][-1].value)
    assert (last["reason"], [each["index"] for each in last["refusals"]]) == ("period_closed", [1, 2])


async def still_so(desk: Desk, wanted: dict[str, str], refused: list[tuple[int, int]]) -> None:
    """Whatever happens to the process, and whatever else is made anew."""
    await desk.worker.snapshot()
    await desk.restart()
    await desk.quiet()
    desk.change(order(next_invoice_date=date(2020, 1, 1)))
    desk.change(metric(aggregation=Aggregation.UNIQUE_COUNT))
    await desk.quiet()
    desk.change(metric())
    await close(desk)
    await desk.quiet()
    assert totals(desk) == wanted
    assert desk.refused() == refused


async def test_a_dropped_counter_that_the_log_lost_does_not_move(desk: Desk) -> None:
    """It would be counted in both periods; an audit says that it cannot tell.

    From then on a replay would count it, so that none is trusted any more: later changes are refused as well.
    """
    await filled(desk)
    desk.log.cut(3)
    await use(desk, "b", 20, "2020-04-06")
    await desk.quiet()
    assert totals(desk) == CLOSED
    assert desk.refused() == [(5, 0)]
    image = live_image.take(0, 1, desk.worker.store, 1)
    fresh = await desk.rebuilt(desk.settings.meter_data_dir.parent / "fresh")
    january_1 = 1_577_836_800_000_000
    found = live_image.compare(image, fresh.worker.store.aggregates, january_1 + 1)
    assert (found.drift, found.beyond) == ([], 2)
    assert await close(desk) == 1
    await use(desk, "d", 4001, FEBRUARY)
    await desk.quiet()
    assert totals(desk) == CLOSED
    assert desk.refused() == [(5, 0), (6, 0)]


def january(key: str, quantity: int) -> dict[str, Any]:
    """A counter of a closed period."""
    at = f"{JANUARY}T00:00:00Z"
    return {"idempotency_key": key, "quantity": quantity, "period_start": at, "period_end": at}


def test_bytes_that_a_closed_counter_costs() -> None:
    """A fifth of what an open one does, or less."""
    store = PartitionStore(5, view(plan(), order(), metric()))
    size, at = 100_000, 1_578_182_400_000_000
    rows = [("acme", CODE, f"key-{number}", at, number) for number in range(size)]
    store.apply(0, columns(*rows))
    opened = store.used_bytes() / size
    for _ in store.close([0]):
        pass
    assert store.rows.size == 0
    assert store.aggregates.keys[0][:3] == (SERVICE, "acme", CODE)
    # Of columns and index the least there is stays.
    closed = store.closed.table.nbytes / size
    assert closed < 10.1
    assert closed < opened / 5
    again = store.prepare(CounterArrays.of(columns(*rows[:1], ("acme", CODE, "new", at, 1)), 1))
    assert again.late.tolist() == [0]
