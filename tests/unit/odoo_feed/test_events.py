"""Outbox rows as records of `events.v1`."""

import json

import pytest

from producers.odoo_feed.events import event_record, lifecycle_event
from schemas.odoo_rpc import OutboxEvent

ROW: OutboxEvent = {
    "id": 7,
    "event_id": "6f1c",
    "type": "invoice.paid",
    "time": "2026-07-01T00:00:00Z",
    "service": "nexamaps",
    "subscription": "sub-1",
    "customer": "cust-1",
    "data": {"amount": "113.00", "name": "Zoé"},
}


def test_an_event_carries_its_stable_id_and_cloudevents_headers() -> None:
    """The public id, never the row's number."""
    record = event_record(lifecycle_event(ROW), "billing.events.v1")
    assert record.value is not None
    value = json.loads(record.value)
    assert value == {name: content for name, content in ROW.items() if name != "event_id"} | {"id": "6f1c"}
    assert record.key == b"nexamaps/sub-1"
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"6f1c",
        "ce_type": b"invoice.paid",
        "ce_source": b"/fusion-billing/odoo",
        "ce_time": b"2026-07-01T00:00:00Z",
        "content-type": b"application/json",
    }


def test_an_event_without_subscription_goes_by_customer() -> None:
    """So that a customer's events stay in order."""
    assert event_record(lifecycle_event({**ROW, "subscription": None}), "t").key == b"nexamaps/cust-1"


def test_a_row_that_does_not_fit_is_refused() -> None:
    """The feed reports it and leaves it in the outbox."""
    with pytest.raises(ValueError, match="time"):
        lifecycle_event({**ROW, "time": "yesterday"})
