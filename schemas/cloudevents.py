"""The headers of our records: CloudEvents' Kafka binding in binary mode. Pure."""

from datetime import datetime
from functools import lru_cache

from schemas.derived import Version
from schemas.periods import format_instant

Headers = tuple[tuple[str, bytes], ...]

USAGE_TYPE = "fusion.usage.v1"
REJECTED_TYPE = "fusion.rejected.v1"
TOTAL_TYPE = "fusion.total.v1"
OVERAGE_TYPE = "fusion.overage.v1"
LINE_TYPE = "fusion.line.v1"
DELIVERY_TYPE = "fusion.delivery.v1"


def headers(
    *, event_type: str, event_id: str, source: str, time: datetime, traceparent: str | bytes | None = None
) -> Headers:
    """Return a record's headers, as cheap as every record on a busy topic needs them.

    Args:
        event_type: one of the names above, or the lifecycle event's own type.
        event_id: never the same for two different records of one source.
        source: who wrote the record, as a URI reference.
        time: the same object for all records that are made together: its text is kept.
        traceparent: the W3C trace context of what led to the record.
    """
    made = (("ce_id", event_id.encode()), _time(time), *_constant(event_type, source))
    if traceparent is None:
        return made
    return (*made, ("traceparent", traceparent.encode() if isinstance(traceparent, str) else traceparent))


def usage_source(service: str) -> str:
    """Return the source of what an app publishes, be it by the SDK or by the gateway."""
    return f"/services/{service}"


def versioned_id(key: str, version: Version) -> str:
    """Return the id of a derived record: one version of one key is one event."""
    return f"{key}@{version.epoch}.{version.source_offset}.{version.catalog_offset}"


@lru_cache(maxsize=1024)
def _constant(event_type: str, source: str) -> Headers:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/json"),
    )


@lru_cache(maxsize=64)
def _time(instant: datetime) -> tuple[str, bytes]:
    return "ce_time", format_instant(instant).encode()
