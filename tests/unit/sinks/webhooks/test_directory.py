"""The directory of endpoints and what an event fans out to."""

from datetime import UTC, datetime

import pytest

from schemas.catalog import Endpoint
from schemas.events import LifecycleEvent
from sinks.kafka_client import Record
from sinks.webhooks.directory import Directory


def put(directory: Directory, endpoint_id: int, **facts: object) -> None:
    """Let the catalog tell an endpoint."""
    known = {"id": endpoint_id, "service": "nexamaps", "url": "https://example.org/h", "sealed_secrets": ("x",)}
    endpoint = Endpoint.model_validate(known | facts)
    directory.apply([_record(f"endpoint/{endpoint_id}", endpoint.model_dump_json().encode())])


def _record(key: str, value: bytes | None) -> Record:
    return Record("catalog.v1", 0, 0, 0, key.encode(), value)


def _matching(directory: Directory, event_type: str = "invoice.paid") -> list[int]:
    event = LifecycleEvent(id="e", type=event_type, time=datetime(2026, 7, 1, tzinfo=UTC), service="nexamaps")
    return sorted(endpoint.id for endpoint in directory.matching(event))


@pytest.fixture
def directory() -> Directory:
    """Return an empty directory."""
    return Directory()


def test_an_event_goes_to_active_endpoints_of_its_service_that_want_its_type(directory: Directory) -> None:
    """An empty filter wants all."""
    put(directory, 1)
    put(directory, 2, event_types=("invoice.paid",))
    put(directory, 3, event_types=("invoice.posted",))
    put(directory, 4, active=False)
    put(directory, 5, service="other")
    assert _matching(directory) == [1, 2]
    assert _matching(directory, "invoice.posted") == [1, 3]


def test_a_tombstone_removes_and_a_later_record_replaces(directory: Directory) -> None:
    """The catalog's last word holds."""
    put(directory, 1)
    put(directory, 2)
    put(directory, 2, active=False)
    directory.apply([_record("endpoint/1", None)])
    assert directory.get(1) is None
    assert _matching(directory) == []


def test_other_kinds_and_unreadable_endpoints_change_nothing(directory: Directory) -> None:
    """A bad record keeps the last good state."""
    put(directory, 1)
    directory.apply([_record("endpoint/1", b"{"), _record("service/1", b"{}"), _record("endpoint/x", None)])
    directory.apply([Record("catalog.v1", 0, 0, 0, None, b"")])
    assert _matching(directory) == [1]
