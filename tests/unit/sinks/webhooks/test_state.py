"""How deliveries change, and which of two states is the later one."""

from datetime import timedelta

import pytest

from schemas.events import Delivery, DeliveryState
from sinks.webhooks.schedule import schedule_of
from sinks.webhooks.state import Answer, after_attempt, age_of, created_at_in, given_up, replayed, restated
from tests.unit.sinks.webhooks.deliveries import NOW, delivery

SCHEDULE = schedule_of("compatible", 60)


def after(answer: Answer, attempts_before: int = 0) -> Delivery:
    """Return the state after one more attempt."""
    before = delivery().model_copy(update={"attempts": attempts_before})
    return after_attempt(before, answer, SCHEDULE, NOW, jitter=0.5)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_delivers_and_the_body_stays(status: int) -> None:
    """The record is kept to be shown and replayed."""
    state = after(Answer(status))
    assert (state.state, state.attempts, state.last_status) == (DeliveryState.DELIVERED, 1, status)
    assert state.body == delivery().body
    assert state.next_attempt_at is None


@pytest.mark.parametrize("status", [100, 199, 300, 301, 307, 400, 401, 404, 429, 500, 502, 503])
def test_everything_else_waits_for_the_next_attempt_with_the_same_body(status: int) -> None:
    """A redirect is a failure, too."""
    state = after(Answer(status))
    assert (state.state, state.attempts) == (DeliveryState.PENDING, 1)
    assert state.body == delivery().body
    assert state.next_attempt_at == NOW + timedelta(minutes=2)


def test_410_is_dead_at_once() -> None:
    """The endpoint said never again."""
    assert after(Answer(410)).state is DeliveryState.DEAD


def test_the_eighth_failure_is_dead_and_keeps_its_body_for_a_replay() -> None:
    """No ninth attempt."""
    state = after(Answer(error="refused"), attempts_before=7)
    assert (state.state, state.attempts, state.next_attempt_at) == (DeliveryState.DEAD, 8, None)
    assert state.body
    assert state.last_error == "refused"


def test_a_long_error_is_cut() -> None:
    """A record must not outgrow the topic."""
    assert len(after(Answer(error="x" * 9_999)).last_error or "") == 500


def test_a_repeated_fan_out_does_not_revive_what_was_delivered() -> None:
    """Its first state is older than any later one of the same life."""
    for later in (after(Answer(200)), after(Answer(500)), given_up(delivery(), "gone")):
        assert age_of(later) > age_of(delivery())


def test_delivered_is_the_last_word_of_a_life() -> None:
    """A slower worker's failed attempt does not take it back."""
    delivered = after(Answer(200))
    assert age_of(after(Answer(500), attempts_before=5)) < age_of(delivered)
    assert age_of(delivered) > age_of(given_up(delivery(), "gone"))


def test_a_replay_is_a_new_life_with_the_same_id_and_bytes() -> None:
    """A later creation beats every state of the former life."""
    dead = after(Answer(error="refused"), attempts_before=7)
    again = replayed(dead, NOW + timedelta(microseconds=1))
    assert age_of(again) > age_of(after(Answer(200)))
    assert (again.event_id, again.body, again.sequence) == (dead.event_id, dead.body, dead.sequence)
    assert (again.state, again.attempts, again.last_error) == (DeliveryState.PENDING, 0, None)


@pytest.mark.parametrize("final", [after(Answer(200)), given_up(delivery(), "gone")])
def test_a_final_state_can_be_restated(final: Delivery) -> None:
    """What is written again has the same age, so it is the same word."""
    assert age_of(restated(delivery(), age_of(final))) == age_of(final)
    assert created_at_in(age_of(final)) == final.created_at
