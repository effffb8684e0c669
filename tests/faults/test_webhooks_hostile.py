"""The webhook sink's real process against hostile receivers: each fault beside healthy neighbours, all at once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet
from standardwebhooks import Webhook, WebhookVerificationError
from typer.testing import CliRunner

from deploy.cli import app
from producers.sdk.webhooks import WebhookRefused, verify
from schemas.events import Delivery, DeliveryState, EndpointState
from schemas.sealing import seal
from tests.hostile.behaviours import ANSWERED, NO_ANSWER, answer
from tests.hostile.certificates import certificate
from tests.hostile.server import Came, Hostile, hostile
from tests.integration.sinks_harness import SECRET_KEY, Pipeline, endpoint, event, process, stop_politely
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

# Secrets that occur nowhere else, in every form in which they could leak.
PLAIN = b"marker-of-a-secret-that-nobody-may-see!!"
SECRET = "whsec_" + base64.b64encode(PLAIN).decode()
OLDER_PLAIN = b"marker-of-the-older-secret-nobody-may-see"
OLDER_SECRET = "whsec_" + base64.b64encode(OLDER_PLAIN).decode()
TOKEN = "t0ken-in-a-path"
STATUSES = (200, 201, 400, 401, 404, 410, 500, 502, 503)
RETRY_AFTERS = ("0", "1", "-5", "1000000000", "soon", "Wed, 01 Jul 1970 00:00:00 GMT", "9" * 500)
RSS_MAX_MIB = 300


@pytest.fixture
def server() -> Iterator[Hostile]:
    """Return a hostile server."""
    with hostile() as server:
        yield server


def is_settled(one: Delivery) -> bool:
    """Tell whether it was attempted at least once."""
    return one.attempts > 0 or one.state is not DeliveryState.PENDING


def assert_verifies(came: Came, *secrets: str) -> None:
    """Check both schemes under each of the live secrets, the newest first: the library's, ours, and a plain HMAC."""
    for secret in secrets:
        Webhook(secret).verify(came.body, came.headers)
        assert verify(came.body, came.headers, [secret], datetime.now(UTC))["id"] == came.headers["webhook-id"]
    assert len(came.headers["webhook-signature"].split()) == len(secrets)
    expected = hmac.new(secrets[0].encode(), came.body, hashlib.sha256).hexdigest()
    assert came.headers["x-fusion-signature"] == expected


def urls_of(server: Hostile, self_signed: Hostile, misnamed: Hostile, stalled: Hostile) -> dict[str, str]:
    """Return an endpoint per fault; its name says how a delivery to it must end."""
    return {
        **{f"no {name}": server.url(f"/{name}/{TOKEN}") for name in NO_ANSWER},
        **{f"yes {name}": server.url(f"/{name}") for name in ANSWERED},
        **{f"status {status}": server.url(f"/status-{status}/{TOKEN}") for status in STATUSES},
        **{f"retry {number}": server.url(f"/retry-{number}") for number in range(len(RETRY_AFTERS))},
        "no self-signed": self_signed.url(f"/{TOKEN}", "localhost"),
        "no misnamed": misnamed.url(f"/{TOKEN}", "localhost"),
        "no stalled": stalled.url(f"/{TOKEN}", "localhost"),
        "no nobody": f"http://127.0.0.1:1/{TOKEN}",
    }


def test_every_fault_ends_as_it_should_and_tells_no_secret(
    sink_topics: Pipeline, server: Hostile, tmp_path: Path, free_port: int
) -> None:
    """F15, F16, F19: one event to an endpoint per fault. Then nothing the sink said or wrote holds a secret."""
    log, variables = tmp_path / "sink.log", {"FUSION_WEBHOOK_TIMEOUT_S": "3", "FUSION_OPS_PORT": str(free_port)}
    own = Pipeline(sink_topics.variables | variables)
    for status in STATUSES:
        server.script(f"/status-{status}/{TOKEN}", *[answer(status)] * 20)
    for number, retry_after in enumerate(RETRY_AFTERS):
        server.script(f"/retry-{number}", answer(429, f"Retry-After: {retry_after}"))
    with (
        hostile(certificate(tmp_path, "localhost")) as self_signed,
        hostile(certificate(tmp_path, "other.example")) as misnamed,
        hostile(shakes_hands=False) as stalled,
        process("webhook-sink", own.variables, log) as child,
    ):
        urls = urls_of(server, self_signed, misnamed, stalled)
        numbers = {name: number for number, name in enumerate(urls, 1)}
        own.publish_endpoint(*(endpoint(numbers[name], url, SECRET, OLDER_SECRET) for name, url in urls.items()))
        sealed_elsewhere = seal(SECRET, Fernet.generate_key().decode())
        for number, sealed in ((901, sealed_elsewhere), (902, "no seal at all")):
            unreadable = endpoint(number, server.url("/never"))
            own.publish_endpoint(unreadable.model_copy(update={"sealed_secrets": (sealed,)}))
        own.publish_events(event("evt_1"))

        def all_attempted() -> dict[int, Delivery]:
            found = own.deliveries_of("evt_1")
            waiting = [name for name, number in numbers.items() if number not in found or not is_settled(found[number])]
            retried = [f"retry {n}" for n in range(len(RETRY_AFTERS))]
            # On a busy machine an answer may come too late; then the next one tells.
            waiting += [
                name
                for name, number in numbers.items()
                if not waiting and not name.startswith("no ") and found[number].last_status is None
            ]
            waiting += [
                name for name in retried if not waiting and found[numbers[name]].state is not DeliveryState.DELIVERED
            ]
            assert waiting == [], waiting
            return found

        found = wait_until(all_attempted, 90, "each was attempted")
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics", timeout=30).read()
        rss_mib = _peak_rss_mib(child.pid)
        statuses = own.statuses()
        shown = CliRunner().invoke(app, ["webhooks", "show", "evt_1", "--json"], env=own.variables).output
        assert stop_politely(child) == 0
    for name, number in numbers.items():
        assert_ended_well(name, found[number])
    assert statuses[numbers["status 410"]].state is EndpointState.DISABLED
    # No redirect was followed, not even home.
    assert 1 <= len(server.on("/plain")) <= found[numbers["yes plain"]].attempts
    assert [server.on("/never"), self_signed.came, misnamed.came] == [[], [], []]
    assert len({one.body for one in server.came}) == 1
    for came in server.came:
        assert_verifies(came, SECRET, OLDER_SECRET)
    assert rss_mib < RSS_MAX_MIB
    said = {"log": log.read_bytes(), "metrics": metrics, "shown": shown.encode()}
    assert b"webhook.attempted" in said["log"]
    assert b"webhook.secret_not_opened" in said["log"]
    assert b"evt_1" in said["shown"]
    assert_no_secret({**said, "topics": b"\n".join(own.raw_records())})
    # URLs are in the catalog and with the operator; what the sink itself writes holds no token of theirs.
    states = "".join(one.model_dump_json() for one in found.values()).encode()
    assert [TOKEN.encode() in text for text in (said["log"], metrics, states)] == [False] * 3


def assert_ended_well(name: str, one: Delivery) -> None:
    """Check a delivery's state against what its endpoint does, which is its name."""
    kind, _, rest = name.partition(" ")
    if kind == "no":
        assert (one.last_status, bool(one.last_error)) == (None, True), (name, one)
        return
    if kind == "retry":
        assert one.state is DeliveryState.DELIVERED, (name, one)
        assert one.attempts >= 2, (name, one)
        return
    status = ANSWERED[rest][0] if kind == "yes" else int(rest)
    assert one.last_status == status, (name, one)
    assert (one.state is DeliveryState.DELIVERED) == (200 <= status < 300), (name, one)
    assert (one.state is DeliveryState.DEAD) == (status == 410), (name, one)


def assert_no_secret(said: dict[str, bytes]) -> None:
    """Check that no text holds a secret, or the key that seals them, in any form; and that sealed ones were there."""
    assert b"sealed_secrets" in said["topics"]
    forms = [SECRET_KEY.encode()]
    for plain in (PLAIN, OLDER_PLAIN):
        forms += [plain, base64.b64encode(plain), plain.hex().encode()]
    for place, text in said.items():
        assert [form for form in forms if form in text] == [], place


def _peak_rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def test_two_live_secrets_sign_during_a_rotation(sink_topics: Pipeline, server: Hostile) -> None:
    """F20: old, then both, then new, all in one delivery's retries; each request verifies as its time says."""
    own = Pipeline(sink_topics.variables | {"FUSION_WEBHOOK_FIRST_WAIT_S": "0.5"})
    steps = [(OLDER_SECRET,), (SECRET, OLDER_SECRET), (SECRET,)]
    server.script("/hook", *[answer(500)] * 3)
    own.publish_endpoint(endpoint(1, server.url("/hook"), *steps[0]))
    with process("webhook-sink", own.variables):
        own.publish_events(event("evt_1"))
        seen = 0
        for number, secrets in enumerate(steps):
            if number:
                own.publish_endpoint(endpoint(1, server.url("/hook"), *secrets))
                server.script("/hook", *[answer(500)] * 8)

            def signed_so(secrets: tuple[str, ...] = secrets, seen: int = seen) -> bool:
                count = [len(one.headers["webhook-signature"].split()) for one in server.on("/hook")[seen:]]
                assert count, "no attempt yet"
                return _verifies(server.on("/hook")[-1], *secrets)

            wait_until(signed_so, 60, f"signed with {len(secrets)} secrets")
            seen = len(server.on("/hook"))
        server.script("/hook")
        wait_until(lambda: own.deliveries()["evt_1"].state is DeliveryState.DELIVERED, 60, "delivered")
    assert_verifies(server.on("/hook")[-1], SECRET)
    assert not _verifies(server.on("/hook")[-1], OLDER_SECRET)
    assert not _verifies(server.on("/hook")[0], SECRET)
    assert len({one.body for one in server.came}) == 1


def test_a_secret_that_the_app_knows_first_rotates_without_a_refusal(sink_topics: Pipeline, server: Hostile) -> None:
    """F20, the documented steps: the app accepts both, then the new one signs alone; either scheme holds throughout."""
    accepted = [SECRET, OLDER_SECRET]
    sink_topics.publish_endpoint(endpoint(1, server.url("/hook"), OLDER_SECRET))
    with process("webhook-sink", sink_topics.variables):
        sink_topics.publish_events(*(event(f"before_{n}", f"sub-{n}") for n in range(5)))
        wait_until(lambda: len(server.on("/hook")) == 5, 60, "the old secret's deliveries")
        sink_topics.publish_endpoint(endpoint(1, server.url("/hook"), SECRET))

        def signs_alone() -> bool:
            sink_topics.publish_events(event(f"later_{len(server.came)}"))
            return server.on("/hook")[-1].headers["x-fusion-signature"] == _hex(SECRET, server.on("/hook")[-1].body)

        wait_until(signs_alone, 60, "the new secret signs")
    for came in server.on("/hook"):
        assert verify(came.body, came.headers, accepted, datetime.now(UTC))
        only_fusion = {"x-fusion-signature": came.headers["x-fusion-signature"]}
        assert verify(came.body, only_fusion, accepted, datetime.now(UTC), require_timestamp=False)


def _hex(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _verifies(came: Came, *secrets: str) -> bool:
    try:
        assert_verifies(came, *secrets)
    except (AssertionError, WebhookRefused, WebhookVerificationError):
        return False
    return True


def test_odd_and_repeated_events_poison_nothing(sink_topics: Pipeline, server: Hostile) -> None:
    """F24, F28: what no receiver could read is passed over; what was published twice is delivered once."""
    good = event("evt_0").model_dump_json().encode()
    odd = [
        good.replace(b'"Zo\xc3\xa9"', value)
        for value in (b"NaN", b"1e400", b'"\\ud800"', b'"' + b"x" * 300_000 + b'"', b"[" * 5_000 + b"]" * 5_000)
    ]
    odd += [good.replace(b"evt_0", name) for name in (b"", b"a\\r\\nX: y", b"\\u00e9", b"e" * 1000)]
    odd += [b"", b"\xff\xfe", b"{", b"null", b"[]"]
    sink_topics.publish_endpoint(endpoint(1, server.url("/hook"), SECRET))
    with process("webhook-sink", sink_topics.variables) as child:
        for value in odd:
            sink_topics.publish_raw_event(value)
        sink_topics.publish_events(event("evt_1"), event("evt_1"), event("evt_2"))
        wait_until(lambda: set(sink_topics.deliveries()) >= {"evt_1", "evt_2"}, 60, "the good ones were taken")
        wait_until(lambda: _all_delivered(sink_topics), 60, "all are delivered")
        sink_topics.publish_events(event("evt_1"), event("evt_3"))
        wait_until(lambda: "evt_3" in sink_topics.deliveries(), 60, "the last one was taken")
        wait_until(lambda: _all_delivered(sink_topics), 60, "all are delivered")
        assert stop_politely(child) == 0
    ids = [one.headers["x-fusion-event-id"] for one in server.on("/hook")]
    assert sorted(ids) == ["evt_1", "evt_2", "evt_3"]


def _all_delivered(sink_topics: Pipeline) -> bool:
    states = {name: one.state for name, one in sink_topics.deliveries().items()}
    assert set(states.values()) == {DeliveryState.DELIVERED}, states
    return True


def test_a_backlog_that_returns_is_paced_and_others_are_not_delayed(sink_topics: Pipeline, server: Hostile) -> None:
    """F18: 150 events waited for an endpoint that was gone; back, it gets two seconds' worth and then the rate."""
    own = Pipeline(sink_topics.variables | {"FUSION_WEBHOOK_RATE_PER_S": "20"})
    back, well = endpoint(1, server.url("/back"), SECRET), endpoint(2, server.url("/well"), SECRET)
    own.publish_endpoint(back.model_copy(update={"event_types": ("backlog",)}))
    own.publish_endpoint(well.model_copy(update={"event_types": ("invoice.paid",)}))
    with process("webhook-sink", own.variables) as child:
        own.publish_events(event("first"))
        wait_until(lambda: server.on("/well"), 60, "it works")
        assert CliRunner().invoke(app, ["webhooks", "disable", "1", "--yes"], env=own.variables).exit_code == 0
        own.publish_events(*(event(f"old_{n}", f"sub-{n}", "backlog") for n in range(150)))
        wait_until(lambda: len(own.deliveries()) >= 151, 60, "the backlog waits")
        assert CliRunner().invoke(app, ["webhooks", "enable", "1"], env=own.variables).exit_code == 0
        wait_until(lambda: server.on("/back"), 60, "the backlog begins to flow")
        own.publish_events(*(event(f"new_{n}", f"sub-{n}") for n in range(20)))
        wait_until(lambda: len(server.on("/well")) == 21, 60, "the other has all of its events")
        overtaken = len(server.on("/back"))
        wait_until(lambda: len(server.on("/back")) == 150, 60, "the backlog is delivered")
        assert stop_politely(child) == 0
    assert overtaken < 150  # the neighbour's new events did not wait for its end
    at_s = [one.at_s for one in server.on("/back")]
    assert at_s[-1] - at_s[0] > (150 - 3 * 20) / 20 * 0.8  # 40 at once, then 20 a second


def test_endpoints_that_hang_fill_no_slots_after_a_restart(sink_topics: Pipeline, server: Hostile) -> None:
    """F17: more of them than a worker has slots, all due when it starts; a healthy one is served at once all the same.

    What they failed before is in the journal, so a fresh process suspects them from its start.
    """
    hanging, slots = 60, {"FUSION_WEBHOOK_IN_FLIGHT": "40"}
    first = Pipeline(sink_topics.variables | slots | {"FUSION_WEBHOOK_TIMEOUT_S": "0.5"})
    first.publish_endpoint(
        *(endpoint(n, server.url(f"/hang/{n}"), SECRET, event_types=("trouble",)) for n in range(10, 10 + hanging))
    )
    first.publish_endpoint(endpoint(1, server.url("/well"), SECRET, event_types=("invoice.paid",)))
    with process("webhook-sink", first.variables) as child:
        first.publish_events(event("evt_1", event_type="trouble"))

        def all_failed() -> bool:
            found = first.deliveries_of("evt_1")
            assert len(found) == hanging
            assert all(one.attempts for one in found.values()), sum(not one.attempts for one in found.values())
            return True

        wait_until(all_failed, 90, "each has failed once")
        child.kill()
    patient = Pipeline(sink_topics.variables | slots | {"FUSION_WEBHOOK_TIMEOUT_S": "600"})
    before = len(server.came)
    with process("webhook-sink", patient.variables) as child:
        wait_until(lambda: len(server.came) >= before + 10, 60, "the suspects have their share of the slots")
        patient.publish_events(*(event(f"new_{n}", f"sub-{n}") for n in range(5)))
        # Behind those that hang it would wait for ten minutes.
        wait_until(lambda: len(server.on("/well")) == 5, 60, "the healthy one has its events")
        hangs = [one for one in server.came[before:] if one.path.startswith("/hang")]
        child.kill()
    assert len(hangs) == 10  # a quarter of the slots
