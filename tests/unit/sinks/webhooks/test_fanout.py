"""One event becomes one delivery per endpoint that wants it, in bounded steps."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest

from schemas.catalog import Endpoint
from schemas.events import Delivery, LifecycleEvent
from schemas.partitioning import partition_of
from schemas.settings import load
from sinks.kafka_client import Publisher, Record, TopicReader
from sinks.webhooks.directory import Directory
from sinks.webhooks.fanout import FanOut
from sinks.webhooks.state import age_of
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


def test_an_event_that_was_published_twice_is_the_same_delivery() -> None:
    """A feed that reads its outbox again gives another record of the same event (F28)."""
    publisher = PartitionedPublisher()
    first = event_record(1)
    again = Record("events.v1", 0, 9, WRITTEN_AT_MS + 5_000, first.key, first.value)
    list(fan_out(1, publisher).write([first, again]))
    one, two = (Delivery.model_validate_json(record.value or b"") for record in publisher.records)
    assert publisher.records[0].key == publisher.records[1].key
    assert age_of(one) == age_of(two)


@pytest.mark.parametrize(
    "data",
    [
        '{"text":"' + "x" * 300_000 + '"}',
        '{"ratio":NaN}',
        '{"ratio":1e400}',
        '{"text":"\\ud800"}',
        "[" * 5_000 + "]" * 5_000,
    ],
    ids=["oversize", "NaN", "1e400", "lone surrogate", "deep"],
)
def test_an_event_that_no_receiver_could_read_is_settled_without_delivery(data: str) -> None:
    """Counted and logged, nothing poisoned (F24)."""
    publisher = PartitionedPublisher()
    value = (event_record(1).value or b"").replace(b'"data":{}', b'"data":{"x":' + data.encode() + b"}")
    records = [event_record(1, value), event_record(2)]
    assert [one for step in fan_out(1, publisher).write(records) for one in step] == records
    assert "evt_2:0" in [one.key for one in publisher.records]
    assert all(len(one.value or b"") < 1_000_000 for one in publisher.records)


@pytest.mark.parametrize("name", ["a b", "a\r\nX-Evil: 1", "é", "\x00", "a\n"])
@pytest.mark.parametrize("field", ["id", "type"])
def test_an_event_whose_id_or_type_cannot_stand_in_a_header_is_settled_without_delivery(field: str, name: str) -> None:
    """It could never be sent, and must not hold up its subscription until it is dead (F24)."""
    publisher = PartitionedPublisher()
    fields = json.loads(event_record(1).value or b"") | {field: name}
    list(fan_out(1, publisher).write([event_record(1, json.dumps(fields).encode()), event_record(2)]))
    assert [one.key for one in publisher.records] == ["evt_2:0"]


def test_odd_but_valid_numbers_and_texts_keep_their_bytes() -> None:
    """Long integers, minus zero and NUL are JSON (F24)."""
    publisher = PartitionedPublisher()
    data = b'{"long":12345678901234567890,"zero":-0.0,"nul":"\\u0000"}'
    value = (event_record(1).value or b"").replace(b'"data":{}', b'"data":' + data)
    list(fan_out(1, publisher).write([event_record(1, value)]))
    body = Delivery.model_validate_json(publisher.records[0].value or b"").body
    assert '"data":{"long":12345678901234567890,"nul":"\\u0000","zero":-0.0}' in body


def test_records_carry_cloudevents_headers_and_the_trace_of_their_event() -> None:
    """Binary mode of the Kafka binding."""
    publisher = PartitionedPublisher()
    first = event_record(1)
    traced = Record("events.v1", 0, 1, 0, first.key, first.value, (("traceparent", b"00-abc"),))
    list(fan_out(1, publisher).write([traced]))
    headers = dict(publisher.records[0].headers)
    assert headers["ce_id"] == b"evt_1:0:0:pending"
    assert headers["ce_type"] == b"fusion.delivery.v1"
    assert headers["ce_time"] == b"2026-07-01T00:00:00Z"
    assert headers["traceparent"] == b"00-abc"
