"""A negative quantity that comes before the catalog knows its metric: judged as a rebuild would, refused once."""

from pathlib import Path

import pytest

from schemas.errors import BrokerUnavailable
from tests.unit.streams.catalogs import charge, metric, plan, subscription, tell
from tests.unit.streams.desk import Desk


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    """An open worker whose catalog does not know the metric yet; two counters have come, one of them negative."""
    desk = Desk(tmp_path, plan(), subscription(), charge())
    await desk.worker.open()
    await desk.use("a", -5)
    await desk.use("b", 7)
    assert await desk.totals() == []
    return desk


@pytest.mark.parametrize("allow_negative", [False, True])
async def test_the_total_is_that_of_a_rebuild(desk: Desk, tmp_path: Path, *, allow_negative: bool) -> None:
    """What the metric allows decides, not when the catalog told it."""
    desk.change(metric(allow_negative=allow_negative))
    await desk.quiet()
    fresh = await desk.rebuilt(tmp_path / "fresh")
    assert desk.standing() == fresh.standing()
    assert [each["quantity"] for each in desk.latest("totals").values()] == ["2" if allow_negative else "7"]
    assert desk.refused() == fresh.refused() == ([] if allow_negative else [(0, 0)])


@pytest.mark.parametrize("with_snapshots", [False, True])
async def test_a_late_refusal_goes_out_once(desk: Desk, *, with_snapshots: bool) -> None:
    """Whatever is replayed, from nothing or from a snapshot, before it was published or after."""
    await desk.worker.snapshot()
    tell(desk.catalog, metric())
    for _ in range(3):
        await desk.restart(with_snapshots=with_snapshots)
        await desk.quiet()
        assert desk.refused() == [(0, 0)]
        assert [each["quantity"] for each in desk.latest("totals").values()] == ["7"]


async def test_a_late_refusal_outlives_a_power_cut_between_snapshot_and_publication(desk: Desk) -> None:
    """The snapshot of the store made anew knows that the refusal may still have to go out."""
    desk.change(metric())
    desk.publisher.is_down = True
    with pytest.raises(BrokerUnavailable):
        await desk.worker.catch_up()
    await desk.worker.snapshot()
    desk.publisher.is_down = False
    await desk.restart()
    await desk.quiet()
    assert desk.refused() == [(0, 0)]


async def test_a_record_refused_for_two_reasons_at_two_times(desk: Desk) -> None:
    """What was published already is not published again with the late one."""
    bad = {"idempotency_key": "", "quantity": 3}
    await desk.worker.apply(desk.log.append(desk.batch_of({"idempotency_key": "c", "quantity": -1}, bad)))
    await desk.worker.flush()
    assert desk.refused() == [(2, 1)]
    desk.change(metric())
    await desk.quiet()
    assert desk.refused() == [(0, 0), (2, 0), (2, 1)]


async def test_a_metric_that_changes_what_it_allows(desk: Desk, tmp_path: Path) -> None:
    """Totals follow the catalog of now; what was refused once stays on the topic, once."""
    for allow_negative in (False, True, False):
        desk.change(metric(allow_negative=allow_negative))
        await desk.use("c", -1)
        await desk.quiet()
        assert desk.standing() == (await desk.rebuilt(tmp_path / f"fresh {allow_negative}")).standing()
    assert desk.refused() == [(0, 0), (2, 0), (3, 0), (4, 0)]
