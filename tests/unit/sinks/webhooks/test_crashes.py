"""The process dies before or after every step the outside can see, once and twice; nothing is lost (F14)."""

from itertools import combinations

import pytest
from standardwebhooks import Webhook

from schemas.events import DeliveryState
from sinks.webhooks.state import Answer
from tests.unit.sinks.webhooks.world import SECRET, Request, World, by_event, endpoint, event, live

STEPS_MAX = 200


def answered(request: Request, times: int) -> Answer:
    """Fail the first event once, refuse another for good, take the others."""
    if request.event_id == "suspended" and times == 1:
        return Answer(503)
    return Answer(500) if request.event_id == "hopeless" else Answer(200)


def new_world() -> World:
    """Two events of one subscription, and a hopeless one beside them."""
    events = [event("suspended"), event("hopeless", "sub-2"), event("restored")]
    return World(events, [endpoint()], answered)


def check(world: World, crashes: int) -> None:
    """Hold W1 to W4 and the order against the world as it is in the end."""
    ends = {one.event_id: one.state for one in world.deliveries().values()}
    delivered, dead = DeliveryState.DELIVERED, DeliveryState.DEAD
    assert ends == {"suspended": delivered, "restored": delivered, "hopeless": dead}
    requests = by_event(world.requests)
    for event_id, attempts in requests.items():
        assert len({one.body for one in attempts}) == 1, event_id
        for one in attempts:
            assert Webhook(SECRET).verify(one.body, dict(one.headers))["id"] == event_id
    assert world.accepted["suspended"] in range(1, 2 + crashes)
    assert world.accepted["restored"] in range(1, 2 + crashes)
    assert len(requests["hopeless"]) in range(8, 9 + crashes)
    order = [one.event_id for one in world.requests if one.event_id != "hopeless"]
    assert "suspended" not in order[order.index("restored") :]


def test_without_a_crash_each_event_is_accepted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the hopeless one gets its eight attempts."""
    world = new_world()
    assert live(world, monkeypatch)
    check(world, crashes=0)


def test_a_crash_at_any_step_loses_nothing_and_repeats_at_most_what_was_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exhaustive: one process dies at step k, the next one ends the work."""
    for step in range(1, STEPS_MAX):
        world = new_world()
        world.crash_at = step
        if live(world, monkeypatch):
            assert step > 20, "too few steps to mean anything"
            return
        world.crash_at = 0
        assert live(world, monkeypatch)
        check(world, crashes=1)
    raise AssertionError("there is always one more step")


@pytest.mark.faults
def test_two_crashes_at_any_two_steps_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sixteenth pair of steps; the second is counted anew in the second process."""
    for number, (first, second) in enumerate(combinations(range(1, 60), 2)):
        if number % 16:
            continue
        world = new_world()
        for step in (first, second - first):
            world.steps, world.crash_at = 0, step
            if live(world, monkeypatch):
                break
        world.crash_at = 0
        assert live(world, monkeypatch)
        check(world, crashes=2)


def test_a_fan_out_that_commits_first_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The enumeration itself: with these two steps exchanged, some crash loses an event."""
    lost = 0
    for step in range(1, 6):
        world = new_world()
        world.commits_first, world.crash_at = True, step
        live(world, monkeypatch)
        world.crash_at = 0
        live(world, monkeypatch)
        lost += "suspended" not in world.accepted
    assert lost
