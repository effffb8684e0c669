"""The body of a delivery: canonical JSON, serialised once and kept as it is over all attempts. Pure."""

import json
import re

from schemas.events import LifecycleEvent
from schemas.periods import format_instant

API_VERSION = 1
_IN_HEADERS = re.compile(r"[!-~]+")
BODY_BYTES_MAX = 256 * 1024
"""A record that Kafka refuses would come again for ever; receivers expect less than 20 kB."""


def body_of(event: LifecycleEvent) -> str:
    """Return the event as JSON with sorted keys, no spaces and ASCII only, so that signer and receiver agree.

    Raises:
        ValueError: it holds what JSON cannot (NaN), it is larger than BODY_BYTES_MAX, or its id or type cannot stand
            in a header.
    """
    if not _IN_HEADERS.fullmatch(event.id) or not _IN_HEADERS.fullmatch(event.type):
        raise ValueError("id and type must be visible ASCII characters")
    body = json.dumps(
        {
            "api_version": API_VERSION,
            "customer": event.customer,
            "data": event.data,
            "id": event.id,
            "service": event.service,
            "subscription": event.subscription,
            "time": format_instant(event.time),
            "type": event.type,
        },
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )
    if len(body) > BODY_BYTES_MAX:
        raise ValueError(f"the body has {len(body)} bytes")
    return body
