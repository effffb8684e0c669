"""The gateway's small parts: token bucket, catalog view, unacknowledged records, packing."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from producers.gateway.catalog import CatalogView
from producers.gateway.errors import ApiError
from producers.gateway.json_body import parse_object
from producers.gateway.rate_limit import RateLimit
from producers.gateway.usage import VALUE_BYTES_MAX, Envelope, records_of
from producers.kafka_client.records import Position
from producers.kafka_client.unacked import Unacked
from schemas.errors import BrokerUnavailable
from schemas.usage import Counter
from schemas.wire import decode_batch

ENVELOPE = Envelope("billing.usage.v1", "maps", datetime(2026, 7, 1, tzinfo=UTC), lambda: "id-1")


def _counter(key: str, note: str = "") -> Counter:
    return Counter.model_validate(
        {
            "subscription": "sub-1",
            "metric": "api_calls",
            "quantity": 1,
            "period_start": "2026-07-01T00:00:00Z",
            "period_end": "2026-07-01T01:00:00Z",
            "idempotency_key": key,
            "properties": {"note": note} if note else {},
        }
    )


def test_the_bucket_allows_a_burst_and_then_the_rate() -> None:
    """Two a second: two at once, then one every half second; another service has its own bucket."""
    limit = RateLimit(2)
    assert [limit.take("maps", 100.0) for _ in range(3)] == [0, 0, 0.5]
    assert limit.take("other", 100.0) == 0
    assert limit.take("maps", 100.5) == 0
    assert limit.take("maps", 100.5) == 0.5


def test_a_broken_catalog_record_changes_nothing(catalog: CatalogView) -> None:
    """Bad JSON, a wrong shape and other kinds leave the picture as it was."""
    before = catalog.charges("maps")
    catalog.apply("charge/1", b"{")
    catalog.apply("charge/1", b'{"kind":"charge"}')
    catalog.apply("subscription/1", b"{")
    assert catalog.charges("maps") == before


def test_a_deleted_charge_disappears(catalog: CatalogView) -> None:
    """A tombstone removes what its key named."""
    catalog.apply("charge/1", None)
    catalog.apply("charge/999", None)
    assert [charge.code for charge in catalog.charges("maps")] == ["shared-calls"]


def test_unacknowledged_records_are_bounded_by_number_and_bytes() -> None:
    """Without room nothing is taken in; an acknowledgement makes room."""
    unacked = Unacked(records_max=2, size_bytes_max=10)
    number, future = unacked.add(6, 0.0)
    with pytest.raises(BrokerUnavailable):
        unacked.add(5, 0.0)
    unacked.add(4, 1.0)
    with pytest.raises(BrokerUnavailable):
        unacked.add(0, 1.0)
    assert unacked.oldest_age_s(3.0) == 3.0
    unacked.settle(number, Position(0, 7))
    assert future.result(0) == Position(0, 7)
    assert unacked.oldest_age_s(3.0) == 2.0
    unacked.add(6, 3.0)


def test_a_record_is_settled_once() -> None:
    """After giving up, a late acknowledgement changes nothing."""
    unacked = Unacked(10, 100)
    number, future = unacked.add(1, 0.0)
    unacked.fail_all(BrokerUnavailable("gone"))
    unacked.settle(number, Position(0, 1))
    assert isinstance(future.exception(0), BrokerUnavailable)
    assert not future.cancel()
    assert unacked.wait_empty(0)


def test_large_batches_are_halved_until_they_fit() -> None:
    """No record exceeds what a broker takes, and no counter is lost or moved."""
    counters = [_counter(f"key-{number}", "x" * 100_000) for number in range(20)]
    records = records_of(ENVELOPE, counters, partitions=1)
    assert len(records) > 1
    keys: list[str] = []
    for record in records:
        assert record.value is not None
        assert len(record.value) <= VALUE_BYTES_MAX
        keys += decode_batch(record.value)[0].keys
    assert keys == [counter.idempotency_key for counter in counters]


def test_a_counter_that_fits_no_record_is_413() -> None:
    """It cannot be split, so the app must hear of it."""
    with pytest.raises(ApiError) as refused:
        records_of(ENVELOPE, [_counter("key-1", "x" * (VALUE_BYTES_MAX + 1))], partitions=1)
    assert refused.value.status == 413


def test_numbers_keep_every_digit() -> None:
    """Fractions are Decimal, whole numbers int, absurdly long ones bounded by the models, not by us."""
    parsed = parse_object(b'{"a": 0.1, "b": 12, "c": 1e3, "d": -7}')
    assert parsed == {"a": Decimal("0.1"), "b": 12, "c": Decimal("1E+3"), "d": -7}
    assert isinstance(parsed["a"], Decimal)
    assert isinstance(parse_object(json.dumps({"a": 10**80}).encode())["a"], Decimal)
