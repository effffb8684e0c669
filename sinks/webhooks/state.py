"""How a delivery's state changes, and which of two states is the later one. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.events import Delivery, DeliveryState, LifecycleEvent
from sinks.webhooks.schedule import Schedule, retry_after_s, wait_after

_ERROR_CHARACTERS_MAX = 500
_GONE = 410
_TOO_MANY_REQUESTS = 429
_THROTTLING = frozenset({_TOO_MANY_REQUESTS, 502, 503, 504})
_RANKS = {DeliveryState.PENDING: 0, DeliveryState.DEAD: 1, DeliveryState.DELIVERED: 2}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an attempt brought: a status, or the reason why there is none."""

    status: int | None = None
    retry_after: str | None = None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        """Only 2xx counts; a redirect is a failure."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 -- the range is its name

    @property
    def status_class(self) -> str:
        """Label for metrics: ``2xx`` … ``5xx``, or ``none``."""
        return "none" if self.status is None else f"{self.status // 100}xx"


class Age(NamedTuple):
    """Order of the states of one delivery, compared left to right.

    A manual replay starts a new life (`created_at`); in one life a final state beats a pending one, delivered beats
    dead, and more attempts beat fewer.
    """

    created_at: datetime
    rank: int
    attempts: int


def age_of(delivery: Delivery) -> Age:
    """Return where a state stands among the states of its delivery."""
    return Age(delivery.created_at, _RANKS[delivery.state], delivery.attempts)


def newer(candidate: Delivery, known: Age) -> bool:
    """Tell whether `candidate` is later than what is known: a repeated fan-out must not revive what was delivered."""
    return age_of(candidate) > known


def is_repeated_fan_out(candidate: Delivery, known: Age) -> bool:
    """Tell whether `candidate` is the first state again, written behind a later one that must stay the last word."""
    return candidate.state is DeliveryState.PENDING and candidate.attempts == 0 and known > age_of(candidate)


def first_state(event: LifecycleEvent, body: str, endpoint_id: int, created_at: datetime, sequence: int) -> Delivery:
    """Return the pending delivery of an event to an endpoint, due at once.

    `created_at` must come from the event's record, so that a repeated fan-out gives an equal state.
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
        created_at=created_at,
        next_attempt_at=created_at,
        sequence=sequence,
    )


def after_attempt(delivery: Delivery, answer: Answer, schedule: Schedule, now: datetime, jitter: float) -> Delivery:
    """Return the state after one more attempt: delivered (2xx), dead (410 or no attempt left), else pending."""
    attempts = delivery.attempts + 1
    facts = {
        "attempts": attempts,
        "last_status": answer.status,
        "last_error": None if answer.error is None else answer.error[:_ERROR_CHARACTERS_MAX],
        "next_attempt_at": None,
    }
    if answer.is_success:
        # The body has done its duty; the record stays, to be shown.
        return delivery.model_copy(update={**facts, "state": DeliveryState.DELIVERED, "body": ""})
    wait_s = None
    if answer.status != _GONE:
        wait_s = wait_after(
            schedule,
            attempts,
            jitter=jitter,
            retry_after_s=retry_after_s(answer.retry_after, now),
            throttled=answer.status is None or answer.status in _THROTTLING,
        )
    if wait_s is None:
        return delivery.model_copy(update={**facts, "state": DeliveryState.DEAD})
    return delivery.model_copy(update={**facts, "next_attempt_at": now + timedelta(seconds=wait_s)})


def given_up(delivery: Delivery, reason: str) -> Delivery:
    """Return the dead state of a delivery that cannot be attempted any more."""
    return delivery.model_copy(
        update={"state": DeliveryState.DEAD, "next_attempt_at": None, "last_error": reason[:_ERROR_CHARACTERS_MAX]}
    )


def restated(repeated: Delivery, known: Age) -> Delivery:
    """Return a final state again, rebuilt from a repeated first state and what is known of the delivery."""
    state = next(state for state, rank in _RANKS.items() if rank == known.rank)
    return repeated.model_copy(
        update={
            "state": state,
            "attempts": known.attempts,
            "next_attempt_at": None,
            "body": "" if state is DeliveryState.DELIVERED else repeated.body,
        }
    )
