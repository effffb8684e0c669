"""One event becomes one delivery per endpoint that wants it, in bounded steps."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest

from schemas.catalog import Endpoint
from schemas.events import LifecycleEvent
from schemas.partitioning import partition_of
from schemas.settings import load
from sinks.kafka_client import Publisher, Record, TopicReader
from sinks.webhooks.directory import Directory
from sinks.webhooks.fanout import FanOut
from tests.unit.sinks.fakes import FakePublisher

PARTITIONS = 5
WRITTEN_AT_MS = 1_782_907_200_000


class PartitionedPublisher(FakePublisher):
    """A publisher that knows how many partitions there are."""

    def partitions_of(self, topic: str) -> int:
        """Return the number."""
        assert topic
        return PARTITIONS


class Catalog:
    """A catalog that tells some endpoints once."""

    def __init__(self, count: int) -> None:
        endpoints = (Endpoint(id=n, service="maps", url="https://a", sealed_secrets=("x",)) for n in range(count))
        self.records = [
            Record("catalog.v1", 0, one.id, 0, f"endpoint/{one.id}".encode(), one.model_dump_json().encode())
            for one in endpoints
        ]

    def read_to_end(self) -> Iterator[Record]:
        """Yield what was not read yet."""
        while self.records:
            yield self.records.pop()


def event_record(offset: int, value: bytes | None = None) -> Record:
    """Return an event, or any other value, as a record of `events.v1`."""
    event = LifecycleEvent(id=f"evt_{offset}", type="a.b", time=datetime(2026, 7, 1, tzinfo=UTC), service="maps")
    return Record("events.v1", 0, offset, WRITTEN_AT_MS, b"k", value or event.model_dump_json().encode())


def fan_out(endpoints: int, publisher: PartitionedPublisher) -> FanOut:
    """Return a fan-out to so many endpoints."""
    catalog = cast("TopicReader", Catalog(endpoints))
    return FanOut(load({}), catalog, Directory(), cast("Publisher", publisher))


def test_all_deliveries_of_an_endpoint_share_its_partition() -> None:
    """Keys and partitions are functions of event and endpoint."""
    publisher = PartitionedPublisher()
    list(fan_out(3, publisher).write([event_record(1), event_record(2)]))
    assert sorted(one.key for one in publisher.records) == [
        "evt_1:0",
        "evt_1:1",
        "evt_1:2",
        "evt_2:0",
        "evt_2:1",
        "evt_2:2",
    ]
    for one in publisher.records:
        assert one.partition == partition_of(one.key.partition(":")[2], PARTITIONS)


def test_a_repeated_fan_out_writes_equal_records() -> None:
    """The clock of the second run leaves no trace."""
    first, second = PartitionedPublisher(), PartitionedPublisher()
    list(fan_out(2, first).write([event_record(1)]))
    list(fan_out(2, second).write([event_record(1)]))
    assert sorted(first.records) == sorted(second.records)


def test_many_deliveries_are_published_in_steps_and_each_settles_its_events() -> None:
    """No step grows with the number of events; none is lost."""
    publisher = PartitionedPublisher()
    records = [event_record(offset) for offset in range(50)]
    steps = list(fan_out(100, publisher).write(records))
    assert [one for step in steps for one in step] == records
    assert max(map(len, steps)) == 10
    assert len(publisher.records) == 5_000


@pytest.mark.parametrize("value", [b"{", b"\xff", b'{"id":"e"}', b"[" * 50_000])
def test_an_unreadable_event_is_settled_without_delivery(value: bytes) -> None:
    """It must not stop the partition."""
    publisher = PartitionedPublisher()
    records = [event_record(1, value), event_record(2)]
    steps = list(fan_out(1, publisher).write(records))
    assert [one for step in steps for one in step] == records
    assert [one.key for one in publisher.records] == ["evt_2:0"]


def test_numbers_that_json_does_not_know_are_refused() -> None:
    """NaN and infinity would break the receiver's parser."""
    publisher = PartitionedPublisher()
    fields = json.loads(event_record(1).value or b"") | {"data": {"ratio": float("nan")}}
    list(fan_out(1, publisher).write([event_record(1, json.dumps(fields).encode())]))
    assert publisher.records == []


def test_an_implausible_timestamp_gives_way_to_the_events_own_time() -> None:
    """Any producer may have set it."""
    publisher = PartitionedPublisher()
    record = event_record(1)
    list(fan_out(1, publisher).write([Record("events.v1", 0, 1, -1, record.key, record.value)]))
    assert json.loads(publisher.records[0].value or b"")["created_at"] == "2026-07-01T00:00:00Z"
