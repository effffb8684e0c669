"""Check a webhook before believing it. Needs only the standard library: the file may be copied into an app.

    event = verify(body, request.headers, secrets, datetime.now(UTC))
    if event["id"] in already_handled: answer 200 and stop

Every delivery is signed twice: `X-Fusion-Signature` covers the body, the Standard Webhooks headers cover id, time and
body. What this module does not do is remember ids: a delivery may come more than once, always with the same id.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

TOLERANCE_S = 300
SIGNATURES_MAX = 20
"""More than any rotation needs; bounds the work that a stranger's header can cause."""

_STANDARD_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SECRET_PREFIX = "whsec_"  # noqa: S105 -- the public prefix of secrets, no secret


class WebhookRefused(Exception):
    """The delivery is not proven to be ours: answer 400 or 401 and do nothing. The text says what failed."""


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    now: datetime,
    *,
    require_timestamp: bool = True,
) -> dict[str, Any]:
    """Return the event of a genuine delivery.

    Args:
        body: the bytes as received; never parsed and serialised again.
        headers: of the request, in any case.
        secrets: the endpoint's secret; during a rotation the new and the old one.
        now: aware; the delivery's time may differ by five minutes.
        require_timestamp: refuse a delivery without the Standard Webhooks headers. Without a signed time a captured
            delivery can be sent again for ever, and only the receiver's memory of ids stands against that.

    Raises:
        WebhookRefused: a signature is missing or wrong, the time is too far off, or the body is no event.
        ValueError: the caller's own mistake: no secret, or a `now` without time zone.
    """
    keys = [secrets] if isinstance(secrets, str) else list(secrets)
    if not keys or not all(keys) or now.tzinfo is None:
        raise ValueError("verify needs at least one secret, none of them empty, and an aware `now`")
    lowered = {name.lower(): value for name, value in headers.items()}
    if any(name in lowered for name in _STANDARD_HEADERS):
        # They cover the body, too; X-Fusion-Signature adds nothing, and knows only the newest secret of a rotation.
        _check_standard(body, lowered, keys, now)
    elif require_timestamp:
        raise WebhookRefused("the headers webhook-id, webhook-timestamp and webhook-signature are missing")
    else:
        _check_fusion(body, lowered.get("x-fusion-signature", ""), keys)
    return _event(body)


def _check_fusion(body: bytes, signature: str, secrets: Sequence[str]) -> None:
    expected = (hmac.digest(secret.encode(), body, hashlib.sha256).hex() for secret in secrets)
    if not _any_equal(expected, [signature.strip()]):
        raise WebhookRefused("X-Fusion-Signature is missing or does not match the body")


def _check_standard(body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
    if not all(headers.get(name) for name in _STANDARD_HEADERS):
        raise WebhookRefused("the headers webhook-id, webhook-timestamp and webhook-signature belong together")
    stamp = headers["webhook-timestamp"]
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= len(str(2**63))):
        raise WebhookRefused("webhook-timestamp is no number of seconds")
    if abs(int(now.timestamp()) - int(stamp)) > TOLERANCE_S:
        raise WebhookRefused(f"webhook-timestamp is more than {TOLERANCE_S} seconds off: a replay, or a wrong clock")
    signed = f"{headers['webhook-id']}.{stamp}.".encode(errors="replace") + body
    expected = (base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode() for secret in secrets)
    given = [part.removeprefix("v1,") for part in headers["webhook-signature"].split(" ") if part.startswith("v1,")]
    if not _any_equal(expected, given):
        raise WebhookRefused("webhook-signature does not match id, time and body")


def _any_equal(expected: Iterator[str], given: Sequence[str]) -> bool:
    """Compare every pair in full, so that the time taken says nothing about where they differ."""
    found = False
    for signature in expected:
        for candidate in given[:SIGNATURES_MAX]:
            found |= hmac.compare_digest(signature.encode(), candidate.encode(errors="replace"))
    return found


def _key(secret: str) -> bytes:
    """Return the Standard Webhooks key: base64 after ``whsec_``, decoded; of any other secret its UTF-8 bytes."""
    if not secret.startswith(_SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()


def _event(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise WebhookRefused("the body is no JSON") from None
    if not isinstance(event, dict) or not isinstance(event.get("id"), str):
        raise WebhookRefused("the body is no event: an object with an id")
    return event
