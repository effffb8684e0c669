"""`POST usage`: what is accepted, what is refused, and how it reaches Kafka."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from producers.testing import FakeProducer
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of
from schemas.wire import CounterColumns, decode_batch

Event = Callable[..., dict[str, Any]]


def _decoded(value: bytes | None) -> CounterColumns:
    columns, refused = decode_batch(value or b"")
    assert not refused
    return columns


async def _post(client: httpx.AsyncClient, *events: object) -> httpx.Response:
    # Escaped, so that text which is no valid Unicode can be sent, too.
    return await client.post("/usage", content=json.dumps({"events": list(events)}))


async def test_good_events_are_accepted(client: httpx.AsyncClient, producer: FakeProducer, event: Event) -> None:
    """202 tells how many, and Kafka holds them for the key's service."""
    answer = await _post(client, event(), event(idempotency_key="key-2", quantity="0.25"))
    assert (answer.status_code, answer.json()) == (202, {"status": "ok", "accepted": 2})
    columns = _decoded(producer.records[0].value)
    assert columns.service == "maps"
    assert list(columns.keys) == ["key-1", "key-2"]
    assert list(columns.quantities) == [1500, Decimal("0.25")]


async def test_events_are_packed_by_partition(client: httpx.AsyncClient, producer: FakeProducer, event: Event) -> None:
    """Each partition touched gets one record, and each counter the partition of its key."""
    names = [f"sub-{number}" for number in range(40)]
    await _post(client, *(event(subscription_external_id=name) for name in names))
    assert len(producer.records) == 4
    for record in producer.records:
        columns = _decoded(record.value)
        for index in columns.subscription:
            assert partition_of(usage_key("maps", columns.subscriptions[index]), 4) == record.partition


async def test_records_carry_cloudevents_headers(
    client: httpx.AsyncClient, producer: FakeProducer, event: Event
) -> None:
    """Headers follow CloudEvents' Kafka binding and pass on the caller's trace."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await client.post("/usage", json={"events": [event()]}, headers={"traceparent": trace})
    headers = dict(producer.records[0].headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"fusion.usage.v1"
    assert headers["ce_source"] == b"/services/maps"
    assert headers["ce_id"]
    assert headers["ce_time"].endswith(b"Z")
    assert headers["content-type"] == b"application/json"
    assert headers["traceparent"] == trace.encode()


async def test_a_malformed_trace_is_not_passed_on(
    client: httpx.AsyncClient, producer: FakeProducer, event: Event
) -> None:
    """A header from outside that is no trace parent goes nowhere."""
    await client.post("/usage", json={"events": [event()]}, headers={"traceparent": "anything"})
    assert "traceparent" not in dict(producer.records[0].headers)


async def test_unknown_fields_metrics_and_subscriptions_are_accepted(client: httpx.AsyncClient, event: Event) -> None:
    """What the catalog does not know yet is the meter's to wait for."""
    answer = await _post(client, event(metric_code="tomorrow", subscription_external_id="new", price=12))
    assert answer.status_code == 202


async def test_fractions_stay_exact(client: httpx.AsyncClient, producer: FakeProducer, event: Event) -> None:
    """A JSON number never passes through a binary float."""
    body = json.dumps({"events": [event()]}).replace("1500", "0.1000000000000000055")
    refused = await client.post("/usage", content=body)
    assert refused.status_code == 400  # 19 decimal places: refused, not rounded
    body = json.dumps({"events": [event()]}).replace("1500", "12345678901234567890.000000000000000001")
    assert (await client.post("/usage", content=body)).status_code == 202
    assert list(_decoded(producer.records[0].value).quantities) == [Decimal("12345678901234567890.000000000000000001")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"events":[{"quantity":NaN}]}',
        b'{"events":[{"quantity":-Infinity}]}',
        b'{"events":[],"events":[]}',
        b'{"events":[{"quantity":1,"quantity":2}]}',
        b'{"events":' + b"[" * 100_000,
        b'{"events":[{"quantity":1e99999999999999999999}]}',
    ],
)
async def test_what_is_not_strict_json_is_refused(
    client: httpx.AsyncClient, producer: FakeProducer, body: bytes
) -> None:
    """Bad JSON, a field twice, NaN, absurd nesting: 400 and nothing on Kafka."""
    answer = await client.post("/usage", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "malformed"
    assert not producer.records


@pytest.mark.parametrize("body", [b"{}", b'{"events":[]}', b'{"events":{}}', b'{"events":null}'])
async def test_a_request_without_events_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    """The field `events` must hold at least one."""
    answer = await client.post("/usage", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "events"


async def test_one_bad_event_refuses_all_and_every_bad_one_is_named(
    client: httpx.AsyncClient, producer: FakeProducer, event: Event
) -> None:
    """The answer lists index and field of each bad event; nothing of the batch is accepted."""
    unkeyed = event()
    del unkeyed["idempotency_key"]
    answer = await _post(
        client, event(), unkeyed, event(quantity="many"), event(period_end="2026-06-01T00:00:00Z"), "no event"
    )
    assert answer.status_code == 400
    body = answer.json()
    assert (body["status"], body["error"]["code"]) == ("error", "invalid")
    assert [(detail["index"], detail["field"]) for detail in body["error"]["details"]] == [
        (1, "idempotency_key"),
        (2, "quantity"),
        (3, "period_end"),
        (4, None),
    ]
    assert not producer.records


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", True),
        ("quantity", None),
        ("quantity", "1e40"),
        ("quantity", "1_000"),
        ("quantity", -1),
        ("metric_code", "API calls"),
        ("metric_code", ""),
        ("subscription_external_id", ""),
        ("subscription_external_id", "x" * 256),
        ("subscription_external_id", "\ud800"),
        ("idempotency_key", 5),
        ("idempotency_key", "a\nb"),
        ("period_start", "2026-07-01"),
        ("period_start", "2026-07-01T00:00:00"),
        ("period_start", 1_780_000_000),
        ("revision", -1),
        ("revision", "1"),
        ("properties", {"nested": {}}),
        ("properties", {"text": "\ud800"}),
        ("properties", {"\ud800": "name"}),
    ],
)
async def test_a_bad_field_is_named(client: httpx.AsyncClient, event: Event, field: str, value: object) -> None:
    """Each rule of a counter is checked at the door, in the API's own field names."""
    answer = await _post(client, event(**{field: value}))
    assert answer.status_code == 400
    assert {detail["field"] for detail in answer.json()["error"]["details"]} == {field}


async def test_a_metric_may_allow_negative_quantities(client: httpx.AsyncClient, event: Event) -> None:
    """Only a metric that the catalog knows and that forbids it makes a negative quantity an error."""
    assert (await _post(client, event(metric_code="balance", quantity=-5))).status_code == 202
    assert (await _post(client, event(metric_code="unknown", quantity=-5))).status_code == 202


async def test_too_many_events_or_bytes_are_413(
    client: httpx.AsyncClient, producer: FakeProducer, event: Event
) -> None:
    """Both limits say 413 and accept nothing."""
    large = await _post(client, event(properties={"note": "x" * 300_000}))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
    many = await client.post("/usage", content=b'{"events":[' + b"0," * 10_000 + b"0]}")
    assert (many.status_code, many.json()["error"]["code"]) == (413, "too_large")
    assert not producer.records


async def test_an_absent_broker_is_503(client: httpx.AsyncClient, producer: FakeProducer, event: Event) -> None:
    """Without Kafka nothing is accepted, and the caller learns when to come back."""
    producer.is_away = True
    answer = await _post(client, event())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    producer.is_away = False
    assert (await _post(client, event())).status_code == 202


@pytest.mark.parametrize("ack_timeout_s", [2.0])
async def test_a_silent_broker_is_503_after_the_ack_timeout(
    client: httpx.AsyncClient, producer: FakeProducer, event: Event
) -> None:
    """No 202 before the acknowledgement; the late one disturbs nobody."""
    producer.is_silent = True
    answer = await _post(client, event())
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    producer.acknowledge()
    producer.is_silent = False
    assert (await _post(client, event())).status_code == 202
