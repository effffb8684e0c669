"""Signatures: fixed vectors and an independent verifier."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from schemas.events import LifecycleEvent
from sinks.webhooks.body import body_of
from sinks.webhooks.signing import Attempt, fusion_signature, headers_of, standard_signature

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BODY = b'{"data":{"amount":"113.00","currency":"CAD","name":"Zo\\u00e9"},"id":"evt_1","type":"invoice.payment_failed"}'


def attempt(body: bytes = BODY, timestamp_s: int = 1767225600, event_id: str = "evt_1") -> Attempt:
    """Return a first attempt."""
    return Attempt(event_id, "invoice.payment_failed", body, 1, timestamp_s)


def test_fusion_signature_vector() -> None:
    """The published vector: hex HMAC-SHA256 of the body under the secret's UTF-8 bytes."""
    assert fusion_signature(BODY, "s3cret") == "500e4c26cb1bacccff31eda8e0f7d111b195818c9e696aa687ce4e5f63e228d8"


def test_standard_signature_vector() -> None:
    """The published vector of Standard Webhooks' scheme."""
    assert standard_signature(attempt(), SECRET) == "v1,yLt3kV3mHfYB/CNYbly0YGJVGo2asc7MDZy7dqrcanw="


def test_the_body_is_canonical_and_ascii() -> None:
    """Sorted keys, no spaces, é escaped: what a receiver may have to build again."""
    event = LifecycleEvent(
        id="evt_1",
        type="invoice.paid",
        time=datetime(2026, 7, 1, tzinfo=UTC),
        service="nexamaps",
        subscription="s/1",
        data={"name": "Zoé", "amount": "113.00"},
    )
    assert body_of(event) == (
        '{"api_version":1,"customer":null,"data":{"amount":"113.00","name":"Zo\\u00e9"},"id":"evt_1",'
        '"service":"nexamaps","subscription":"s/1","time":"2026-07-01T00:00:00Z","type":"invoice.paid"}'
    )


def test_two_live_secrets_give_two_signatures_and_the_newest_the_hex_one() -> None:
    """During a rotation either secret verifies."""
    headers = headers_of(attempt(), ["new", SECRET])
    assert headers["X-Fusion-Signature"] == fusion_signature(BODY, "new")
    assert headers["webhook-signature"].split(" ") == [
        standard_signature(attempt(), "new"),
        standard_signature(attempt(), SECRET),
    ]
    assert headers["webhook-id"] == headers["X-Fusion-Event-Id"] == "evt_1"
    assert headers["X-Fusion-Event"] == "invoice.payment_failed"


@given(st.binary(min_size=1, max_size=64), st.dictionaries(st.text(), st.text()), st.booleans())
def test_the_independent_library_verifies_what_we_sign(key: bytes, facts: dict[str, str], is_old: bool) -> None:
    """Any key and body, as the only or as the older one of two secrets."""
    secret = "whsec_" + base64.b64encode(key).decode()
    body = json.dumps(facts).encode()
    now = attempt(body, int(datetime.now(UTC).timestamp()))
    headers = headers_of(now, ["newer", secret] if is_old else [secret])
    assert Webhook(secret).verify(body, headers) == facts


def test_a_changed_body_does_not_verify() -> None:
    """One byte more and the library refuses."""
    headers = headers_of(attempt(b"{}", int(datetime.now(UTC).timestamp())), [SECRET])
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b"{} ", headers)


def test_a_secret_with_broken_base64_is_taken_as_text() -> None:
    """It must not stop a delivery; the receiver sees the same text."""
    assert standard_signature(attempt(), "whsec_***").startswith("v1,")
