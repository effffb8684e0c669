"""Signatures and headers of one attempt. Pure; vectors in tests/unit/sinks/webhooks/test_signing.py.

Two schemes over the same bytes: `X-Fusion-Signature` (hex HMAC-SHA256 of the body, newest secret) and Standard
Webhooks 1.0 (`webhook-id`, `-timestamp`, `-signature`), which also stops replays and lists one signature per live
secret, so that a receiver can change its secret at any time of the overlap.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

STANDARD_PREFIX = "whsec_"
USER_AGENT = "fusion-billing-webhooks/1"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt signs: `number` counts from 1, `timestamp_s` is the unix time of this attempt."""

    event_id: str
    event_type: str
    body: bytes
    number: int
    timestamp_s: int


def headers_of(attempt: Attempt, secrets: Sequence[str]) -> dict[str, str]:
    """Return all headers of the attempt, signed with the live secrets, newest first (at least one)."""
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        "X-Fusion-Event": attempt.event_type,
        "X-Fusion-Event-Id": attempt.event_id,
        "X-Fusion-Attempt": str(attempt.number),
        "X-Fusion-Signature": fusion_signature(attempt.body, secrets[0]),
        "webhook-id": attempt.event_id,
        "webhook-timestamp": str(attempt.timestamp_s),
        "webhook-signature": " ".join(standard_signature(attempt, secret) for secret in secrets),
    }


def fusion_signature(body: bytes, secret: str) -> str:
    """Return lower-case hex HMAC-SHA256 of the body, keyed with the UTF-8 bytes of the secret as it is written."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def standard_signature(attempt: Attempt, secret: str) -> str:
    """Return ``v1,<base64>`` over id, timestamp and body, as Standard Webhooks 1.0 has it."""
    signed = b".".join((attempt.event_id.encode(), str(attempt.timestamp_s).encode(), attempt.body))
    return "v1," + base64.b64encode(hmac.digest(standard_key(secret), signed, "sha256")).decode()


def standard_key(secret: str) -> bytes:
    """Return the decoded base64 after ``whsec_``; of any other secret, or broken base64, the UTF-8 bytes."""
    if not secret.startswith(STANDARD_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()
