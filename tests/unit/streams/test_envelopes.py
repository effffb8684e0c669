"""CloudEvents' headers of what the meter publishes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas import topics
from schemas.periods import parse_instant
from streams.partition import envelopes
from streams.partition.state import PartitionState
from streams.records import Outgoing
from tests.unit.streams.catalogs import charge, metric, plan, subscription
from tests.unit.streams.desk import Desk


def headers_on(desk: Desk, topic: str) -> list[dict[str, str]]:
    """Headers of everything on a topic, oldest first."""
    records = desk.publisher.topics.records.get(f"t.{topic}.v1", ())
    return [{name: value.decode() for name, value in each.headers} for each in records]


def events_on(desk: Desk) -> set[tuple[str, str]]:
    """(source, id) of everything on the derived topics, which must differ."""
    found = [
        (each["ce_source"], each["ce_id"])
        for topic in ("totals", "overage", "rejected")
        for each in headers_on(desk, topic)
    ]
    assert len(set(found)) == len(found)
    return set(found)


async def test_derived_records_are_named_by_key_and_version(tmp_path: Path) -> None:
    """A total and an overage of one key and version stay apart: a charge may be called like its metric."""
    desk = Desk(tmp_path, plan(), subscription(), metric(), charge(code=metric().code))
    await desk.worker.open()
    for quantity in (5, 7):
        await desk.use("a", quantity, revision=quantity)
        await desk.worker.flush()
    assert len(events_on(desk)) == 4
    for topic, event_type in (("totals", "fusion.total.v1"), ("overage", "fusion.overage.v1")):
        records = desk.publisher.topics.records[f"t.{topic}.v1"]
        versions = [".".join(map(str, each["version"])) for each in desk.take(topic)]
        for record, version, found in zip(records, versions, headers_on(desk, topic), strict=True):
            assert found["ce_id"] == f"{(record.key or b'').decode()}@{version}"
            assert found["ce_type"] == event_type
            assert parse_instant(found["ce_time"]) <= datetime.now(UTC)


@pytest.mark.parametrize("with_snapshot", [False, True])
async def test_refused_input_is_named_by_its_place(tmp_path: Path, *, with_snapshot: bool) -> None:
    """Also what waits in a snapshot, which holds no headers, and what the catalog refuses later of the same record."""
    desk = Desk(tmp_path, plan(), subscription(), charge())
    await desk.worker.open()
    bad = {"idempotency_key": "", "quantity": 3}
    await desk.worker.apply(desk.log.append(desk.batch_of({"idempotency_key": "c", "quantity": -1}, bad)))
    if with_snapshot:
        await desk.worker.snapshot()
        await desk.restart()
    await desk.worker.flush()
    desk.change(metric())
    await desk.quiet()
    assert desk.refused() == [(0, 0), (0, 1)]
    assert [each["ce_type"] for each in headers_on(desk, "rejected")] == ["fusion.rejected.v1"] * 2
    assert {event_id for _, event_id in events_on(desk)} >= {"1.0.0.0", "1.0.0.late.0"}


def test_strays_of_one_record_stay_apart(tmp_path: Path) -> None:
    """They are usage batches, one for each partition they belong to; what is refused beside them has its own id."""
    settings = Desk(tmp_path).settings
    usage, rejected = settings.topic(topics.USAGE), settings.topic(topics.REJECTED)
    state = PartitionState(3)
    for offset in (7, 9):
        state.outbox.put(
            offset, [Outgoing(usage, None, b"a", 1), Outgoing(usage, None, b"b", 2), Outgoing(rejected, b"k", b"c")]
        )
    made = envelopes.waiting_input(state, settings, datetime.now(UTC))
    assert [(each.topic, each.key, each.value, each.partition) for each in made] == [
        (usage, None, b"a", 1),
        (usage, None, b"b", 2),
        (rejected, b"k", b"c", None),
    ] * 2
    found = [dict(each.headers) for each in made]
    assert [each["ce_type"] for each in found] == [b"fusion.usage.v1", b"fusion.usage.v1", b"fusion.rejected.v1"] * 2
    assert len({each["ce_id"] for each in found}) == len(found)
