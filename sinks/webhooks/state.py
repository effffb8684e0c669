"""How a delivery's state changes, and which of two states is the later one. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.events import Delivery, DeliveryState, LifecycleEvent
from sinks.webhooks.glance import AnyState, Stated, changed
from sinks.webhooks.schedule import Schedule, retry_after_s, wait_after

_ERROR_CHARACTERS_MAX = 500
_GONE = 410
_TOO_MANY_REQUESTS = 429
_THROTTLING = frozenset({_TOO_MANY_REQUESTS, 502, 503, 504})
_RANKS = {DeliveryState.PENDING: 0, DeliveryState.DEAD: 1, DeliveryState.DELIVERED: 2}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_PER_DAY, _US_PER_SECOND = 86_400, 1_000_000
_ATTEMPTS_BITS, _RANK_BITS = 14, 2
_AGE_BITS = _ATTEMPTS_BITS + _RANK_BITS
_ATTEMPTS_MASK, _RANK_MASK = (1 << _ATTEMPTS_BITS) - 1, (1 << _RANK_BITS) - 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What an attempt brought: a status, or the reason why there is none.

    `is_ours`: the fault lies on our side (our resolver, our network, our limits), so it is not charged.
    """

    status: int | None = None
    retry_after: str | None = None
    error: str | None = None
    is_ours: bool = False

    @property
    def is_success(self) -> bool:
        """Only 2xx counts; a redirect is a failure."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 -- the range is its name

    @property
    def is_gone(self) -> bool:
        """Tell whether the endpoint said that it is gone for good."""
        return self.status == _GONE

    @property
    def status_class(self) -> str:
        """Label for metrics: ``2xx`` … ``5xx``, or ``none``."""
        return "none" if self.status is None else f"{self.status // 100}xx"


def age_of(delivery: Stated) -> int:
    """Return where a state stands among the states of its delivery: the greater number is the later state.

    A manual replay starts a new life (`created_at`, microseconds); in one life a final state beats a pending one,
    delivered beats dead, and more attempts beat fewer. One number, because there is one per delivery in memory.
    """
    since = delivery.created_at - _EPOCH
    # By hand: a division by a timedelta takes ten times as long, and a rebuild makes a million of them.
    created_us = (since.days * _SECONDS_PER_DAY + since.seconds) * _US_PER_SECOND + since.microseconds
    attempts = delivery.attempts if delivery.attempts < _ATTEMPTS_MASK else _ATTEMPTS_MASK  # noqa: FURB136 -- see above
    return created_us << _AGE_BITS | _RANKS[delivery.state] << _ATTEMPTS_BITS | attempts


def created_at_in(age: int) -> datetime:
    """Return when the delivery of this age was created."""
    return _EPOCH + timedelta(microseconds=age >> _AGE_BITS)


def attempts_in(age: int) -> int:
    """Return how many attempts a delivery of this age has had."""
    return age & _ATTEMPTS_MASK


def first_state(event: LifecycleEvent, body: str, endpoint_id: int, sequence: int) -> Delivery:
    """Return the pending delivery of an event to an endpoint, due at once.

    Its life begins with the event's own time: an event that was fanned out again, or even published again, gives a
    state of the same age, which revives nothing.
    """
    return Delivery(
        event_id=event.id,
        event_type=event.type,
        endpoint_id=endpoint_id,
        service=event.service,
        subscription=event.subscription,
        body=body,
        state=DeliveryState.PENDING,
        attempts=0,
        created_at=event.time,
        next_attempt_at=event.time,
        sequence=sequence,
    )


def replayed(delivery: Delivery, now: datetime) -> Delivery:
    """Return a new life of a delivery, due at once: same id, same bytes, all attempts before it.

    It supersedes a waiting retry. `now` must be later than its last life began.
    """
    return delivery.model_copy(
        update={
            "state": DeliveryState.PENDING,
            "attempts": 0,
            "created_at": now,
            "next_attempt_at": now,
            "last_status": None,
            "last_error": None,
        }
    )


def after_attempt(delivery: AnyState, answer: Answer, schedule: Schedule, now: datetime, jitter: float) -> AnyState:
    """Return the state after one more attempt: delivered (2xx), dead (410 or no attempt left), else pending."""
    attempts = delivery.attempts + 1
    facts: dict[str, Any] = {
        "attempts": attempts,
        "last_status": answer.status,
        "last_error": None if answer.error is None else answer.error[:_ERROR_CHARACTERS_MAX],
        "next_attempt_at": None,
    }
    if answer.is_success:
        return changed(delivery, **facts, state=DeliveryState.DELIVERED)
    wait_s = None
    if not answer.is_gone:
        wait_s = wait_after(
            schedule,
            attempts,
            jitter=jitter,
            retry_after_s=retry_after_s(answer.retry_after, now),
            throttled=answer.status is None or answer.status in _THROTTLING,
        )
    if wait_s is None:
        return changed(delivery, **facts, state=DeliveryState.DEAD)
    return changed(delivery, **{**facts, "next_attempt_at": now + timedelta(seconds=wait_s)})


def given_up(delivery: AnyState, reason: str) -> AnyState:
    """Return the dead state of a delivery that cannot be attempted any more."""
    return changed(delivery, state=DeliveryState.DEAD, next_attempt_at=None, last_error=reason[:_ERROR_CHARACTERS_MAX])


def restated(older: Delivery, age: int) -> Delivery:
    """Return a final state again, rebuilt from an older state of the delivery and the age that is known."""
    rank = age >> _ATTEMPTS_BITS & _RANK_MASK
    state = next(state for state, number in _RANKS.items() if number == rank)
    return older.model_copy(
        update={"state": state, "attempts": attempts_in(age), "next_attempt_at": None, "created_at": created_at_in(age)}
    )
