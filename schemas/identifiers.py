"""Codes, external ids and the joined keys of derived records."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from schemas.periods import format_instant

CODE_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
EXTERNAL_ID_BYTES_MAX = 255
EXTERNAL_ID_PATTERN = r"^[^\u0000-\u001f\u007f]+$"

_CODE = re.compile(CODE_PATTERN[:-1] + r"\Z")


def check_code(value: str) -> str:
    """Return `value` if it is a service, metric or charge code; raise ValueError that says what one looks like."""
    if not _CODE.match(value):
        raise ValueError("must be 1 to 64 of a-z 0-9 _ . - and start with a letter or digit")
    return value


def check_external_id(value: str) -> str:
    """Return `value` if it can be an app's own id: 1 to 255 bytes of UTF-8 without control characters."""
    try:
        size_bytes = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode text (it holds a lone surrogate)") from None
    if not 1 <= size_bytes <= EXTERNAL_ID_BYTES_MAX:
        raise ValueError(f"must have 1 to {EXTERNAL_ID_BYTES_MAX} bytes, has {size_bytes}")
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError("must not contain control characters")
    return value


Code = Annotated[str, AfterValidator(check_code), Field(json_schema_extra={"pattern": CODE_PATTERN})]
"""A service, metric or charge code."""

ExternalId = Annotated[
    str,
    AfterValidator(check_external_id),
    # Characters are never more than bytes: what the check takes, the schema takes.
    Field(json_schema_extra={"minLength": 1, "maxLength": EXTERNAL_ID_BYTES_MAX, "pattern": EXTERNAL_ID_PATTERN}),
]
"""An app's own id: subscription, customer or idempotency key."""


def usage_key(service: str, subscription: str) -> str:
    """Kafka key of a single counter and of a lifecycle event: decides the partition.

    A service code has no slash, so the first slash ends it and the rest, slashes included, is the subscription.
    """
    return f"{service}/{subscription}"


def total_key(service: str, subscription: str, metric: str, period_start: datetime) -> str:
    """Key of a `billing.totals.v1` record; unambiguous read from both ends, as only the subscription has slashes."""
    return f"{service}/{subscription}/{metric}/{format_instant(period_start)}"


def overage_key(service: str, subscription: str, charge: str, period_start: datetime) -> str:
    """Key of a `billing.overage.v1` and of a `billing.lines.v1` record."""
    return f"{service}/{subscription}/{charge}/{format_instant(period_start)}"


def delivery_key(event_id: str, endpoint_id: int) -> str:
    """Key of a `billing.deliveries.v1` record."""
    return f"{event_id}:{endpoint_id}"


def status_key(endpoint_id: int) -> str:
    """Key of an endpoint's status on `deliveries.v1`; no delivery has it, as an event id is not empty."""
    return f":{endpoint_id}"
