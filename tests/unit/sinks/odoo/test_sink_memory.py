"""What the Odoo sink need not say again, and when it says it all the same."""

from typing import TYPE_CHECKING, cast

import pytest

from schemas.errors import BrokerUnavailable, OdooUnavailable
from schemas.odoo_rpc import OdooBilling
from schemas.settings import load
from sinks.odoo.memory import Memory, meaning
from sinks.odoo.reading import rated
from sinks.odoo.sink import OdooSink
from tests.unit.sinks.fakes import FakeOdoo, FakePublisher, overage, record
from tests.unit.sinks.odoo.test_sink import lines, write

if TYPE_CHECKING:
    from sinks.kafka_client import Publisher

ONE = overage(amount="5", version=(1, 9, 0))
NEWER = overage(amount="5", version=(1, 10, 0))


@pytest.fixture
def sink(odoo: FakeOdoo, publisher: FakePublisher) -> OdooSink:
    """Return a sink over both, which has written one row."""
    sink = OdooSink(load({}), OdooBilling(odoo), cast("Publisher", publisher))
    write(sink, record(ONE))
    return sink


def test_the_very_same_record_again_is_settled_without_a_word(
    sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher
) -> None:
    """Odoo holds it and `lines.v1` was told so: no call, no record."""
    again = [record(ONE, offset) for offset in (1, 2)]
    assert write(sink, *again) == again
    assert (len(odoo.calls), len(publisher.records)) == (1, 1)


def test_a_newer_version_of_the_same_words_is_told_to_odoo_in_short(
    sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher
) -> None:
    """Odoo must know the version: what is older than it is refused also by the next process."""
    newer = record(NEWER, 1)
    assert write(sink, newer) == [newer]
    assert (odoo.short_rows, odoo.versions[ONE.key]) == (1, [1, 10, 0])
    assert (lines(publisher)["sub-1"]["status"], lines(publisher)["sub-1"]["version"]) == ("unchanged", [1, 10, 0])
    assert write(sink, record(NEWER, 2)) != []
    assert len(odoo.calls) == 2


def test_what_odoo_does_not_take_in_short_it_gets_whole(
    sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher
) -> None:
    """Somebody changed the line, another sink wrote, a backup was restored: Odoo looks at every word again."""
    odoo.forgotten = {ONE.key}
    other = overage("sub-2")
    write(sink, record(NEWER, 1), record(other, 2))
    assert odoo.calls == [[ONE.key], [ONE.key, other.key], [ONE.key]]
    assert {name: line["status"] for name, line in lines(publisher).items()} == {
        "sub-1": "unchanged",
        "sub-2": "created",
    }


def test_a_refused_call_with_short_rows_parks_only_the_row_to_blame(
    sink: OdooSink, odoo: FakeOdoo, publisher: FakePublisher
) -> None:
    """A short row is halved out of a call as a whole one is."""
    odoo.poison = {"sub-2"}
    write(sink, record(NEWER, 1), record(overage("sub-2"), 2), record(overage("sub-3"), 3))
    statuses = {name: line["status"] for name, line in lines(publisher).items()}
    assert statuses == {"sub-1": "unchanged", "sub-2": "parked", "sub-3": "created"}


def test_a_refused_row_is_asked_again_as_often_as_it_comes(sink: OdooSink, odoo: FakeOdoo) -> None:
    """Its reason may be mended by then; what Odoo accepted of the key before is no ground to skip anything."""
    odoo.parks = {"sub-1"}
    write(sink, record(overage(amount="7", version=(1, 10, 0)), 1))
    write(sink, record(overage(amount="7", version=(1, 10, 0)), 2))
    odoo.parks = set()
    again = overage(amount="5", version=(1, 11, 0))
    write(sink, record(again, 3))
    assert (len(odoo.calls), odoo.short_rows, odoo.versions[ONE.key]) == (4, 0, [1, 11, 0])


def test_the_same_version_with_other_words_is_written(sink: OdooSink, odoo: FakeOdoo) -> None:
    """Of equal versions the later counts."""
    write(sink, record(overage(amount="6", version=(1, 9, 0)), 1))
    assert odoo.amounts[ONE.key] == "6"


def test_of_a_partition_that_was_lost_everything_is_said_again(sink: OdooSink, odoo: FakeOdoo) -> None:
    """Another sink may have written meanwhile; other partitions stay known."""
    write(sink, record(overage("far"), 0, partition=1))
    sink.forget({0})
    write(sink, record(ONE, 1), record(overage("far"), 1, partition=1))
    assert odoo.calls[2:] == [[ONE.key]]
    assert odoo.short_rows == 0


def test_a_key_that_moved_to_another_partition_is_said_again(sink: OdooSink, odoo: FakeOdoo) -> None:
    """The topic has got more partitions."""
    write(sink, record(ONE, 0, partition=3))
    assert len(odoo.calls) == 2


def test_after_odoo_was_away_everything_is_said_again(sink: OdooSink, odoo: FakeOdoo) -> None:
    """It may be back as it was before, from a backup."""
    odoo.is_away = True
    with pytest.raises(OdooUnavailable):
        write(sink, record(overage("other"), 1))
    odoo.is_away = False
    odoo.amounts.clear()
    write(sink, record(ONE, 2))
    assert odoo.amounts == {ONE.key: "5"}


def test_what_lines_v1_was_not_told_is_not_remembered(odoo: FakeOdoo, publisher: FakePublisher) -> None:
    """Odoo has it, Kafka was away: it is written and told again."""
    sink = OdooSink(load({}), OdooBilling(odoo), cast("Publisher", publisher))
    publisher.failure = BrokerUnavailable("away")
    with pytest.raises(BrokerUnavailable):
        write(sink, record(ONE))
    publisher.failure = None
    write(sink, record(ONE))
    assert (len(odoo.calls), len(publisher.records)) == (2, 1)


def test_of_coalesced_records_the_newest_is_the_one_remembered(sink: OdooSink, odoo: FakeOdoo) -> None:
    """The older one is out of date when it comes again."""
    older, newest = overage(amount="6", version=(1, 11, 0)), overage(amount="7", version=(1, 12, 0))
    write(sink, record(newest, 1), record(older, 2))
    write(sink, record(older, 3), record(newest, 4))
    assert len(odoo.calls) == 2
    assert odoo.amounts[ONE.key] == "7"


def test_the_memory_is_bounded() -> None:
    """The least recently told key is forgotten first."""
    memory = Memory(2)
    said = {name: record(overage(name)) for name in "abc"}
    for name in "abac":
        memory.accepted(said[name], overage(name).version, meaning(rated(overage(name))), "f")
    assert [memory.is_said(said[name]) for name in "abc"] == [True, False, True]
    older = overage(version=(0, 1, 0)).version
    assert [memory.is_newer(said[name], older) for name in "abc"] == [True, False, True]
