"""Headers of CloudEvents' Kafka binding."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from schemas.cloudevents import TOTAL_TYPE, headers, versioned_id
from schemas.derived import Version

INSTANT = datetime(2026, 7, 1, tzinfo=UTC)


def test_the_attributes_are_those_of_the_binding() -> None:
    """Each once, prefixed; without a trace there is no header for one."""
    made = headers(event_type=TOTAL_TYPE, event_id="k@1.2.3", source="/meter", time=INSTANT)
    assert sorted(made) == [
        ("ce_id", b"k@1.2.3"),
        ("ce_source", b"/meter"),
        ("ce_specversion", b"1.0"),
        ("ce_time", b"2026-07-01T00:00:00Z"),
        ("ce_type", TOTAL_TYPE.encode()),
        ("content-type", b"application/json"),
    ]


@pytest.mark.parametrize("traceparent", ["00-abc", b"00-abc"], ids=["text", "bytes"])
def test_a_trace_is_passed_through(traceparent: str | bytes) -> None:
    """From HTTP it comes as text, from Kafka as bytes."""
    made = headers(event_type="t", event_id="1", source="/s", time=INSTANT, traceparent=traceparent)
    assert dict(made)["traceparent"] == b"00-abc"


def test_nothing_of_one_record_stays_for_the_next() -> None:
    """What is kept between calls is kept per type, source and time."""
    first = headers(event_type="a", event_id="1", source="/s", time=INSTANT)
    later = INSTANT + timedelta(microseconds=1)
    second = dict(headers(event_type="b", event_id="2", source="/s", time=later))
    assert dict(first) | second == second
    assert (second["ce_type"], second["ce_id"], second["ce_time"]) == (b"b", b"2", b"2026-07-01T00:00:00.000001Z")


def test_the_time_is_utc() -> None:
    """Wherever the clock stands."""
    there = INSTANT.astimezone(timezone(timedelta(hours=-4)))
    assert dict(headers(event_type="t", event_id="1", source="/s", time=there))["ce_time"] == b"2026-07-01T00:00:00Z"


def test_a_derived_record_is_named_by_key_and_version() -> None:
    """Another version of the same key is another event."""
    assert versioned_id("maps/acme/calls/p", Version(1, 20, 3)) == "maps/acme/calls/p@1.20.3"
