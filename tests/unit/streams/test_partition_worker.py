"""One partition at work: order of steps, gaps, marks and acknowledgements, catalog changes, snapshots."""

import asyncio
import contextlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
import structlog

from schemas.catalog import Aggregation
from schemas.errors import BrokerUnavailable, ConfigurationError
from streams import metrics
from tests.unit.streams.catalogs import charge, metric, plan, subscription, tell
from tests.unit.streams.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A worker on an empty folder and an empty log, not open yet."""
    return Desk(tmp_path)


async def test_each_change_is_published_once(desk: Desk) -> None:
    """Duplicates and quiet flushes publish nothing."""
    await desk.worker.open()
    await desk.use("a", 5)
    assert await desk.totals() == ["5"]
    await desk.use("a", 5)
    assert await desk.totals() == []
    await desk.use("a", 7)
    await desk.use("b", 1)
    assert await desk.totals() == ["8"]


async def test_a_mark_made_while_publishing_is_not_lost(desk: Desk) -> None:
    """What changes between the reading of a total and its acknowledgement goes out next time."""
    await desk.worker.open()
    await desk.use("a", 5)
    changed = desk.log.append(desk.batch("a", 6))

    def meanwhile() -> None:
        desk.publisher.on_publish = lambda: None
        desk.worker.log_follower.apply_next(desk.worker.store, changed)

    desk.publisher.on_publish = meanwhile
    assert await desk.totals() == ["5"]
    assert await desk.totals() == ["6"]


async def test_nothing_is_cleared_before_the_acknowledgement(desk: Desk) -> None:
    """A failed publication is repeated with the values of then."""
    await desk.worker.open()
    await desk.use("a", 5)
    await desk.worker.apply(desk.log.append(b"garbage"))
    desk.publisher.is_down = True
    with pytest.raises(BrokerUnavailable):
        await desk.worker.flush()
    desk.publisher.is_down = False
    await desk.use("a", 6)
    assert await desk.totals() == ["6"]
    assert len(desk.take("rejected")) == 1
    assert desk.publisher.recorded == 3


async def test_a_publication_whose_acknowledgement_was_lost_is_not_made_twice(desk: Desk) -> None:
    """It went out whole, what it settled is on record: the next flush repeats values, but no refusal."""
    await desk.worker.open()
    await desk.use("a", 5)
    await desk.worker.apply(desk.log.append(b"garbage"))
    desk.publisher.loses_reply = True
    with pytest.raises(BrokerUnavailable):
        await desk.worker.flush()
    desk.publisher.loses_reply = False
    await desk.worker.flush()
    assert len(desk.take("rejected")) == 1
    assert {each["quantity"] for each in desk.take("totals")} == {"5"}


async def test_gaps_are_filled_from_the_log(desk: Desk) -> None:
    """Skipped records are applied first, known ones never again; markers leave empty ranges."""
    await desk.worker.open()
    first, second = desk.log.append(desk.batch("a", 1)), desk.log.append(desk.batch("b", 2))
    await desk.worker.apply(desk.log.append(desk.batch("c", 4)))
    assert desk.log.reads == [(0, 2)]
    await desk.worker.apply(second)
    await desk.worker.apply(first)
    await desk.use("d", 8, gap=3)
    assert desk.log.reads[1:] == [(3, 6)]
    assert desk.worker.next_offset == 7
    assert await desk.totals() == ["15"]


async def test_records_in_reverse_are_applied_in_the_logs_order(desk: Desk) -> None:
    """What filled the gap before the first of them holds the others: none of them is applied again."""
    await desk.worker.open()
    first, second = desk.log.append(desk.batch("a", 1)), desk.log.append(desk.batch("a", 2))
    third = desk.log.append(desk.batch("b", 4))
    await desk.worker.apply(third, second, first)
    assert desk.worker.next_offset == 3
    assert await desk.totals() == ["6"]


async def test_a_restart_goes_on_behind_the_snapshot(desk: Desk) -> None:
    """State, marks and what is settled come back; what was acknowledged before the crash is not refused twice."""
    await desk.worker.open()
    await desk.use("a", 1)
    await desk.worker.apply(desk.log.append(b"garbage"))
    await desk.worker.snapshot()
    await desk.use("b", 2)
    await desk.worker.apply(desk.log.append(b"more garbage"))
    assert await desk.totals() == ["3"]
    assert len(desk.take("rejected")) == 2
    await desk.restart()
    assert desk.worker.next_offset == 2
    await desk.use("c", 4)
    assert await desk.totals() == ["7"]
    assert desk.take("rejected") == []


async def test_without_snapshots_the_log_gives_the_same(desk: Desk) -> None:
    """Totals again, refusals not."""
    await desk.worker.open()
    await desk.use("a", 1)
    await desk.worker.apply(desk.log.append(b"garbage"))
    await desk.use("b", 2)
    await desk.totals()
    desk.publisher.published.clear()
    await desk.restart()
    await desk.use("c", 4)
    assert await desk.totals() == ["7"]
    assert desk.take("rejected") == []


async def test_a_snapshot_ahead_of_the_log_is_a_wrong_setting(desk: Desk) -> None:
    """The topic was made anew: the sentence names the setting."""
    await desk.worker.open()
    await desk.use("a", 1)
    await desk.worker.snapshot()
    desk.log.records.clear()
    desk.log.end = 0
    with pytest.raises(ConfigurationError, match="FUSION_USAGE_EPOCH"):
        await desk.restart()


async def test_retention_moves_the_start(desk: Desk) -> None:
    """A worker without snapshot begins at the oldest record there is."""
    desk.log.first = desk.log.end = 50
    await desk.worker.open()
    await desk.use("a", 1)
    assert desk.log.reads == []
    assert await desk.totals() == ["1"]


async def test_new_terms_leave_invoiced_periods_alone(desk: Desk) -> None:
    """Neither a new price nor a change of the order rates them anew; late usage does."""
    await desk.worker.open()
    await desk.use("a", 1500)
    assert await desk.amounts() == ["0.2"]
    desk.change(subscription(next_invoice_date=date(2026, 9, 1)))
    desk.change(charge(price_per_unit="5"))
    desk.change(subscription(next_invoice_date=date(2026, 10, 1)))
    assert await desk.amounts() == []
    await desk.worker.snapshot()
    await desk.restart()
    assert await desk.amounts() == []


@pytest.mark.parametrize("is_down", [False, True])
async def test_open_periods_follow_the_catalog(desk: Desk, *, is_down: bool) -> None:
    """Whether the worker hears of a change, or it happened while the worker was away."""
    await desk.worker.open()
    await desk.use("a", 1500)
    assert await desk.amounts() == ["0.2"]
    await desk.worker.snapshot()
    if is_down:
        tell(desk.catalog, charge(price_per_unit="5"))
        await desk.restart()
    else:
        desk.change(charge(price_per_unit="5"))
    assert await desk.amounts() == ["10"]


async def test_a_change_between_two_assignments_is_not_missed(desk: Desk) -> None:
    """The store stays in memory meanwhile and is brought up to date when it is taken up again."""
    await desk.worker.open()
    await desk.use("a", 1500)
    assert await desk.amounts() == ["0.2"]
    await desk.worker.pause()
    tell(desk.catalog, charge(price_per_unit="5"))
    await desk.worker.reopen()
    assert await desk.amounts() == ["10"]


async def test_distinct_values_of_a_metric_that_comes_late(tmp_path: Path) -> None:
    """Rows made before the catalog told what to count are made anew from the log."""
    desk = Desk(tmp_path, plan(), subscription())
    await desk.worker.open()
    for number, seat in enumerate("aba"):
        await desk.use(f"k{number}", number, properties={"seat": seat})
    desk.change(metric(aggregation=Aggregation.UNIQUE_COUNT, unique_property="seat"))
    await desk.use("k4", 9, properties={"seat": "a"})
    assert await desk.totals() == ["2"]
    desk.change(metric(aggregation=Aggregation.SUM))
    assert await desk.totals() == ["12"]
    await desk.use("k5", 1, properties={"seat": "z"})
    desk.change(metric(aggregation=Aggregation.UNIQUE_COUNT, unique_property="seat"))
    await desk.use("k5", 1, properties={"seat": "z"})
    assert await desk.totals() == ["3"]


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """The system refuses to let a file of this process grow beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_does_not_stop_the_role(desk: Desk) -> None:
    """No snapshot and nothing half written, but the counters go on, and it is said; the next one is tried again."""
    await desk.worker.open()
    await desk.use("a", 1)
    failures = metrics.SNAPSHOT_FAILURES._value.get()
    # The tests' own output is a file as well.
    with structlog.testing.capture_logs() as told, files_end_at(256):
        await desk.worker.snapshot()
    assert [each["event"] for each in told] == ["snapshot.failed"]
    assert await desk.totals() == ["1"]
    assert metrics.SNAPSHOT_FAILURES._value.get() == failures + 1
    assert [path for path in desk.settings.meter_data_dir.rglob("*") if path.is_file()] == []
    await desk.worker.snapshot()
    assert len(list(desk.settings.meter_data_dir.rglob("*.snapshot"))) == 1


async def test_a_clean_stop_saves_and_publishes(desk: Desk) -> None:
    """Closing flushes first, so that a restart has nothing to say."""
    await desk.worker.open()
    await desk.use("a", 1)
    await desk.worker.close()
    assert [each["quantity"] for each in desk.take("totals")] == ["1"]
    await desk.restart()
    assert await desk.totals() == []


async def test_closing_while_the_broker_is_away_keeps_the_marks(desk: Desk) -> None:
    """They are in the snapshot."""
    await desk.worker.open()
    await desk.use("a", 1)
    desk.publisher.is_down = True
    await desk.worker.close()
    desk.publisher.is_down = False
    await desk.restart()
    assert await desk.totals() == ["1"]


async def test_a_swallowed_cancellation_does_not_hold_up_a_pause(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Kafka's client makes of one cancellation, it does not make of all."""
    await desk.worker.open()
    waiting = asyncio.Event()

    async def reconnect(_self: object) -> int:
        waiting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(type(desk.publisher), "reconnect", reconnect)
    desk.worker.start(lambda work, name: asyncio.create_task(work, name=name))
    async with asyncio.timeout(30):
        await waiting.wait()
        await desk.worker.pause()
