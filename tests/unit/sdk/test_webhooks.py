"""The verifier against the published vectors, an independent signer, and every way to cheat."""

import base64
import hashlib
import hmac
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from producers.sdk.webhooks import WebhookRefused, verify

BODY = rb'{"data":{"amount":"113.00","currency":"CAD","name":"Zo\u00e9"},"id":"evt_1","type":"invoice.payment_failed"}'
NOW = datetime.fromtimestamp(1767225600, UTC)
PLAIN = "s3cret"
WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
HEX = "500e4c26cb1bacccff31eda8e0f7d111b195818c9e696aa687ce4e5f63e228d8"
STANDARD = "v1,yLt3kV3mHfYB/CNYbly0YGJVGo2asc7MDZy7dqrcanw="
HEADERS = {"webhook-id": "evt_1", "webhook-timestamp": "1767225600", "webhook-signature": STANDARD}


def test_the_vector_of_the_body_signature_is_accepted() -> None:
    """Header names in any case; the receiver chose to do without a signed time."""
    event = verify(BODY, {"x-FUSION-signature": HEX}, PLAIN, NOW, require_timestamp=False)
    assert event["data"]["name"] == "Zoé"


def test_the_vector_of_standard_webhooks_is_accepted() -> None:
    """Id, time and body are covered."""
    assert verify(BODY, HEADERS, [WHSEC], NOW)["id"] == "evt_1"


def test_an_independent_signer_is_accepted() -> None:
    """The Standard Webhooks library signs, we verify."""
    signature = Webhook(WHSEC).sign("evt_1", NOW, BODY.decode())
    assert verify(BODY, {**HEADERS, "webhook-signature": signature}, [WHSEC], NOW)


def test_without_signed_time_a_delivery_is_refused_by_default() -> None:
    """Stripping the headers must not turn a captured delivery into an eternal one."""
    with pytest.raises(WebhookRefused, match="are missing"):
        verify(BODY, {"X-Fusion-Signature": HEX}, PLAIN, NOW)


@pytest.mark.parametrize("known", [[WHSEC, "new"], ["new", WHSEC], [WHSEC]])
def test_either_live_secret_of_a_rotation_is_accepted(known: list[str]) -> None:
    """The sender lists a signature per secret and gives the body signature of the newest; the receiver may lag."""
    headers = {**HEADERS, "webhook-signature": f"v1,AAAA {STANDARD} v1a,ignored", "X-Fusion-Signature": "0" * 64}
    assert verify(BODY, headers, known, NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_time_too_far_off_is_refused(seconds: int) -> None:
    """Replays end after five minutes."""
    with pytest.raises(WebhookRefused, match="seconds off"):
        verify(BODY, HEADERS, WHSEC, NOW + timedelta(seconds=seconds))
    assert verify(BODY, HEADERS, WHSEC, NOW + timedelta(seconds=seconds - seconds // abs(seconds)))


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": STANDARD[:-4]},
        {"webhook-signature": STANDARD + "A"},
        {"webhook-signature": STANDARD.replace("v1,", "v2,")},
        {"webhook-signature": "v1,é"},
        {"webhook-id": "evt_2"},
        {"webhook-timestamp": "1767225601"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-signature": " ".join(["v1,AAAA"] * 50 + [STANDARD])},
    ],
)
def test_a_changed_header_is_refused(change: dict[str, str]) -> None:
    """Empty, truncated, extended, foreign, or far too many."""
    with pytest.raises(WebhookRefused):
        verify(BODY, HEADERS | change, WHSEC, NOW)


@pytest.mark.parametrize("signature", ["", HEX[:-1], HEX + "0", HEX.upper(), "é"])
def test_a_changed_body_signature_is_refused(signature: str) -> None:
    """Exactly the lower-case hex, nothing shorter or longer."""
    with pytest.raises(WebhookRefused):
        verify(BODY, {"X-Fusion-Signature": signature}, PLAIN, NOW, require_timestamp=False)


def test_a_changed_body_or_secret_is_refused() -> None:
    """One bit is enough."""
    with pytest.raises(WebhookRefused):
        verify(BODY + b" ", HEADERS, WHSEC, NOW)
    with pytest.raises(WebhookRefused):
        verify(BODY, HEADERS, WHSEC.replace("AAEC", "AAED"), NOW)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type":"x"}', b"\xff"])
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    """The caller gets an object with an id or nothing."""
    signed = b".".join((b"evt_1", b"1767225600", body))

    key = base64.b64decode(WHSEC.removeprefix("whsec_"))
    signature = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    with pytest.raises(WebhookRefused, match="the body is no"):
        verify(body, HEADERS | {"webhook-signature": signature}, WHSEC, NOW)


def test_the_caller_must_give_a_secret_and_an_aware_time() -> None:
    """No secret must never mean everything is genuine."""
    for secrets in ("", [], ["", WHSEC]):
        with pytest.raises(ValueError, match="at least one secret"):
            verify(BODY, HEADERS, secrets, NOW)
    with pytest.raises(ValueError, match="aware"):
        verify(BODY, HEADERS, WHSEC, NOW.replace(tzinfo=None))


def test_the_verifier_needs_only_the_standard_library() -> None:
    """Importing it loads none of the SDK's dependencies."""
    code = (
        "import sys, producers.sdk.webhooks;"
        "print([name for name in ('pydantic', 'kafka', 'msgspec', 'structlog') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
