"""The Odoo sink over its ports."""

import json
from typing import Any, cast

import pytest

from schemas.errors import BrokerUnavailable, OdooUnavailable
from schemas.odoo_rpc import OdooBilling
from schemas.settings import Settings, load
from sinks.kafka_client import Publisher, Record
from sinks.odoo.sink import OdooSink
from tests.unit.sinks.fakes import FakeOdoo, FakePublisher, overage, record


@pytest.fixture
def settings() -> Settings:
    """Return settings with small calls."""
    return load({}, odoo_rows_per_call=4)


@pytest.fixture
def sink(settings: Settings, odoo: FakeOdoo, publisher: FakePublisher) -> OdooSink:
    """Return a sink over both."""
    return OdooSink(settings, OdooBilling(odoo), cast("Publisher", publisher))


def write(sink: OdooSink, *records: Record) -> list[Record]:
    """Write and return what was settled."""
    return [one for settled in sink.write(records) for one in settled]


def lines(publisher: FakePublisher) -> dict[str, Any]:
    """Return the last line per subscription."""
    return {one.key.split("/")[1]: json.loads(one.value or b"") for one in publisher.records if "/" in one.key}


def test_each_row_is_written_told_and_settled(sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher) -> None:
    """One line per key, with what Odoo did."""
    records = [record(overage(f"s{number}"), number) for number in range(10)]
    assert write(sink, *records) == records
    assert [len(call) for call in odoo.calls] == [4, 4, 2]
    assert {one["status"] for one in lines(publisher).values()} == {"created"}


def test_a_line_is_settled_only_after_lines_v1_has_it(sink: OdooSink, publisher: FakePublisher) -> None:
    """Kafka away between Odoo and the commit: the record comes again."""
    publisher.failure = BrokerUnavailable("away")
    settled: list[Record] = []
    with pytest.raises(BrokerUnavailable):
        settled += [one for step in sink.write([record(overage())]) for one in step]
    assert settled == []


def test_what_lines_v1_was_not_told_is_not_settled(sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher) -> None:
    """Kafka goes away while Odoo works on the next call: both calls come again."""
    records = [record(overage(f"s{number}"), number) for number in range(8)]
    steps = sink.write(records)
    settled = next(steps)
    publisher.failure = BrokerUnavailable("away")
    with pytest.raises(BrokerUnavailable):
        next(steps)
    publisher.failure = None
    assert settled == []
    assert write(sink, *records) == records
    assert [len(call) for call in odoo.calls] == [4, 4, 4, 4]


def test_only_the_poisoned_row_is_parked(sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher) -> None:
    """Odoo refuses the whole call because of one row; its neighbours are written."""
    odoo.poison = {"s2"}
    records = [record(overage(f"s{number}"), number) for number in range(4)]
    assert write(sink, *records) == records
    statuses = {name: line["status"] for name, line in lines(publisher).items()}
    assert statuses == {"s0": "created", "s1": "created", "s2": "parked", "s3": "created"}
    assert "ValidationError" in lines(publisher)["s2"]["error"]


def test_nothing_is_parked_when_odoo_refuses_every_call(
    sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher
) -> None:
    """A missing right is not the rows' fault: wait for a person."""
    odoo.refuses_all = True
    with pytest.raises(OdooUnavailable):
        write(sink, record(overage("a")), record(overage("b"), 1))
    assert publisher.records == []


def test_what_was_settled_before_odoo_went_away_stays_settled(sink: OdooSink, odoo: FakeOdoo) -> None:
    """The first call's rows are done; the second call's come again."""
    records = [record(overage(f"s{number}"), number) for number in range(6)]
    steps = sink.write(records)
    settled = [*next(steps), *next(steps)]
    odoo.is_away = True
    with pytest.raises(OdooUnavailable):
        next(steps)
    assert settled == records[:4]


def test_an_older_version_than_the_written_one_is_skipped(sink: OdooSink, odoo: FakeOdoo) -> None:
    """It is settled without a call; an equal one that says something else is written."""
    write(sink, record(overage(amount="5", version=(1, 9, 0))))
    old = record(overage(amount="4", version=(1, 8, 9)), 1)
    assert write(sink, old) == [old]
    assert len(odoo.calls) == 1
    write(sink, record(overage(amount="6", version=(1, 9, 0)), 2))
    assert len(odoo.calls) == 2
    assert list(odoo.amounts.values()) == ["6"]


def test_malformed_records_are_parked_and_never_stop_the_others(sink: OdooSink, publisher: FakePublisher) -> None:
    """Garbage between two good records."""
    records = [record(overage("a"), 0), record(b"garbage", 1, key=b"n/x/c/p"), record(b"", 2), record(overage("b"), 3)]
    assert sorted(one.offset for one in write(sink, *records)) == [0, 1, 2, 3]
    statuses = {name: line["status"] for name, line in lines(publisher).items()}
    assert statuses == {"a": "created", "b": "created", "x": "parked"}


def test_a_row_parked_by_odoo_is_told_with_its_reason(sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher) -> None:
    """The status and error of the addon reach lines.v1."""
    odoo.parks = {"a"}
    write(sink, record(overage("a")), record(overage("b"), 1))
    assert lines(publisher)["a"]["status"] == "parked"
    assert lines(publisher)["a"]["error"] == "no such order"
    assert lines(publisher)["b"]["status"] == "created"


def test_each_answer_is_an_event_of_its_own(sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher) -> None:
    """Odoo may say something else of the same version later; what nobody can read is told as often as it comes."""
    again = record(overage("a", version=(1, 9, 3)))
    odoo.parks = {"a"}
    for _ in range(2):
        write(sink, again, record(b"garbage", 1, key=b"n/x/c/p"), record(b"rubbish", 2, key=b"n/x/c/p"))
    found = [dict(one.headers) for one in publisher.records]
    assert len({each["ce_id"] for each in found}) == len(found) == 6
    assert {each["ce_type"] for each in found} == {b"fusion.line.v1"}
    named = [one for one in publisher.records if one.key == overage("a").key]
    assert [dict(one.headers)["ce_id"].partition(b"#")[0].decode() for one in named] == [f"{named[0].key}@1.9.3"] * 2
