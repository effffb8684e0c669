"""Lifecycle events (`billing.events.v1`), webhook deliveries (`billing.deliveries.v1`) and rejected input."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import Reason
from schemas.identifiers import Code
from schemas.usage import Instant


class EventType(StrEnum):
    """Lifecycle events that apps can subscribe to."""

    INVOICE_POSTED = "invoice.posted"
    INVOICE_PAID = "invoice.paid"
    INVOICE_VOIDED = "invoice.voided"
    PAYMENT_FAILED = "invoice.payment_failed"
    SUBSCRIPTION_STARTED = "subscription.started"
    SUBSCRIPTION_PAUSED = "subscription.paused"
    SUBSCRIPTION_RESUMED = "subscription.resumed"
    SUBSCRIPTION_TERMINATED = "subscription.terminated"
    SUBSCRIPTION_REACTIVATED = "subscription.reactivated"
    SUBSCRIPTION_RENEWED = "subscription.renewed"
    CREDIT_NOTE_POSTED = "credit_note.posted"
    THRESHOLD_REACHED = "usage.threshold_reached"


class LifecycleEvent(BaseModel):
    """Value of `billing.events.v1`; `id` is stable and is the receiver's idempotency key.

    `type` stays text, so that an older reader passes on a type it does not know yet.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=1, max_length=128)
    type: str = Field(min_length=1, max_length=128)
    time: Instant
    service: Code
    subscription: str | None = None
    customer: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class DeliveryState(StrEnum):
    """Where a delivery stands; `delivered` and `dead` are final until someone replays."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Delivery(BaseModel):
    """Value of `billing.deliveries.v1`: one event on its way to one endpoint, with the exact body that is signed.

    `body` is the canonical JSON, serialised once, and stays with ended deliveries, so that they can be replayed.
    URL and secrets are not kept: they are looked up at each attempt.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: str
    event_type: str
    endpoint_id: int
    service: Code
    subscription: str | None
    body: str
    state: DeliveryState
    attempts: int = Field(ge=0)
    created_at: Instant
    next_attempt_at: Instant | None
    sequence: int = Field(0, description="position in its events partition: the order per subscription")
    last_status: int | None = None
    last_error: str | None = Field(None, max_length=500)


class EndpointState(StrEnum):
    """Whether an endpoint is sent to; the sink's own finding, or an operator's word."""

    ACTIVE = "active"
    FAILING = "failing"
    DISABLED = "disabled"


class EndpointStatus(BaseModel):
    """Value of a `billing.deliveries.v1` record under the key ``:<endpoint>``: how an endpoint has behaved.

    `since` is when it got into this state; for a failing one that is its first failure without a success since.
    What the sink disabled is active again once the endpoint has another URL than `url_digest` (SHA-256, hex) names;
    null means that only an operator ends it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint_id: int
    state: EndpointState
    reason: str = Field("", max_length=200)
    since: Instant
    url_digest: str | None = None


class Refusal(BaseModel):
    """Why one counter, or with `index` null the whole record, was refused; `index` is its place in the batch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int | None
    reason: Reason
    field: str | None = None
    message: str = Field(max_length=1000)


class Rejected(BaseModel):
    """Value of `billing.rejected.v1`: input that was refused for ever, with all that is needed to replay it.

    One per refused source record: `original` is that record's value and `original_key` its key, both base64;
    `refusals` names each refused counter; `reason` and `message` repeat the first of them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: str
    partition: int
    offset: int
    reason: Reason
    message: str
    refusals: list[Refusal] = Field(min_length=1)
    original_key: str | None = None
    original: str
