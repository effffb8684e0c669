"""Limits, clocks, rotation and changed endpoints, in a world of the test's own."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from schemas.events import DeliveryState, EndpointState
from schemas.sealing import seal
from sinks.webhooks.clock import Clock
from sinks.webhooks.state import Answer
from tests.unit.sinks.webhooks.world import KEY, SECRET, Request, World, endpoint, event, live

NEW_SECRET = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="


def verifies(request: Request, secret: str) -> bool:
    """Tell whether the request verifies under a secret."""
    try:
        Webhook(secret).verify(request.body, dict(request.headers))
    except WebhookVerificationError:
        return False
    return True


@pytest.mark.parametrize("status", [201, 204, 301, 307, 400, 401, 404, 410, 429, 500, 502, 503])
def test_every_status_ends_as_the_table_says(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """2xx once; 410 once, and the endpoint is disabled; all others eight times, then dead (F15)."""
    world = World([event("evt_1")], [endpoint()], lambda *_: Answer(status))
    assert live(world, monkeypatch)
    (delivery,) = world.deliveries().values()
    expected = DeliveryState.DELIVERED if status < 300 else DeliveryState.DEAD
    assert (delivery.state, delivery.attempts) == (expected, 1 if status < 300 or status == 410 else 8)
    assert len(world.requests) == delivery.attempts


@pytest.mark.parametrize("retry_after", ["0", "-5", "1000000000", "soon", "Wed, 01 Jul 1970 00:00:00 GMT", "9" * 500])
def test_no_retry_after_hurries_or_silences_the_sink(retry_after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It moves a retry between once and twice the schedule's wait (F15)."""
    answers = [Answer(429, retry_after), Answer(200)]
    world = World([event("evt_1")], [endpoint()], lambda *_: answers.pop(0))
    began_s = monotonic()
    assert live(world, monkeypatch)
    assert world.accepted["evt_1"] == 1
    assert monotonic() - began_s < 60


def test_a_fault_of_ours_is_not_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty failed look-ups leave all eight attempts."""
    world = World(
        [event("evt_1")],
        [endpoint()],
        lambda _, times: Answer(error="no name", is_ours=True) if times <= 20 else Answer(200),
    )
    assert live(world, monkeypatch)
    assert world.deliveries()["evt_1:1"].attempts == 1


def test_an_open_breaker_burns_no_attempts_and_a_probe_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that fails for a while: few requests, and all its events in the end."""
    failing = threading.Event()
    failing.set()

    def answer(_: Request, __: int) -> Answer:
        if len(world.requests) > 40:
            failing.clear()
        return Answer(503) if failing.is_set() else Answer(200)

    world = World([event(f"evt_{n}", f"sub-{n}") for n in range(50)], [endpoint()], answer)
    assert live(world, monkeypatch)
    assert set(world.accepted) == {f"evt_{n}" for n in range(50)}
    assert {one.state for one in world.deliveries().values()} == {DeliveryState.DELIVERED}


def test_requests_of_a_rotation_verify_under_the_secrets_of_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old, then both during the overlap, then only the new one, within one delivery's retries (F20)."""
    old, both, new = ((SECRET,), (NEW_SECRET, SECRET), (NEW_SECRET,))

    def answer(_: Request, times: int) -> Answer:
        live_now = {1: both, 2: new}.get(times, new)
        sealed = tuple(seal(secret, KEY) for secret in live_now)
        world.endpoints = [endpoint().model_copy(update={"sealed_secrets": sealed})]
        return Answer(500) if times < 3 else Answer(200)

    assert old == (SECRET,)
    world = World([event("evt_1")], [endpoint()], answer, variables={"FUSION_WEBHOOK_FIRST_WAIT_S": "0.02"})
    assert live(world, monkeypatch)
    first, second, third = world.requests
    assert [verifies(first, one) for one in (SECRET, NEW_SECRET)] == [True, False]
    assert [verifies(second, one) for one in (SECRET, NEW_SECRET)] == [True, True]
    assert [verifies(third, one) for one in (SECRET, NEW_SECRET)] == [False, True]


def test_an_endpoint_that_goes_and_comes_back_gets_what_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted or inactive: held without a charge; back under another URL: sent there (F21)."""
    changes = [[], [endpoint(active=False)], [endpoint(url="http://b/hook")]]

    def answer(request: Request, _: int) -> Answer:
        if request.url == "http://a/hook":
            world.endpoints = changes[1]
        return Answer(500 if request.url == "http://a/hook" else 200)

    world = World([event("evt_1"), event("evt_2")], [endpoint()], answer)
    assert live(world, monkeypatch, until=lambda: len(world.deliveries()) == 2 and len(world.requests) == 1)
    world.endpoints = changes[2]
    assert live(world, monkeypatch)
    assert [one.url for one in world.requests[-2:]] == ["http://b/hook"] * 2
    assert [one.event_id for one in world.requests[-2:]] == ["evt_1", "evt_2"]


def test_a_rate_paces_a_backlog_and_leaves_other_endpoints_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds' worth at once, then the rate (F18)."""
    times: list[float] = []

    def answer(request: Request, _: int) -> Answer:
        if request.url == "http://a/hook":
            times.append(monotonic())
        return Answer(200)

    endpoints = [endpoint(1), endpoint(2, "http://b/hook", event_types=("none",))]
    world = World(
        [event(f"evt_{n}", f"sub-{n}") for n in range(90)],
        endpoints,
        answer,
        variables={"FUSION_WEBHOOK_RATE_PER_S": "30"},
    )
    assert live(world, monkeypatch)
    per_second = Counter(int(at - times[0]) for at in times)
    assert per_second[0] <= 60 + 30 + 1
    assert times[-1] - times[0] >= 0.9


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_wall_clock_that_jumps_moves_no_retry(jump: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """None early, none never (F23)."""
    offset = [timedelta()]
    at: list[float] = []

    def answer(_: Request, times: int) -> Answer:
        at.append(monotonic())
        return Answer(500 if times == 1 else 200)

    def drained() -> bool:
        if at and monotonic() - at[0] > 0.1:  # its failure is written down and its retry waits
            offset[0] = jump
        return world.is_drained

    clock = Clock(now=lambda: datetime.now(UTC) + offset[0])
    world = World([event("evt_1")], [endpoint()], answer, clock, {"FUSION_WEBHOOK_FIRST_WAIT_S": "0.2"})
    assert live(world, monkeypatch, until=drained)
    assert offset[0] == jump
    assert 0.8 * 0.4 <= at[1] - at[0] < 60


def test_410_is_written_down_for_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts later sends nothing either."""
    world = World([event("evt_1"), event("evt_2", "sub-2")], [endpoint()], lambda *_: Answer(410))
    assert live(world, monkeypatch, until=lambda: any(one.key == b":1" for one in world.log))
    first = len(world.requests)
    status = next(one for one in world.log if one.key == b":1")
    assert EndpointState.DISABLED.value in (status.value or b"").decode()
    world.answers = lambda *_: Answer(200)
    until_s = monotonic() + 0.3
    assert live(world, monkeypatch, until=lambda: monotonic() > until_s)
    assert len(world.requests) == first
