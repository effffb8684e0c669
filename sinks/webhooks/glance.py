"""States of the journal read and written as fast as the sink needs it: the model's fields, a quarter of its time. Pure.

A million states are read when a worker starts, and each delivery is read and written again at full speed.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Protocol, TypeVar

import msgspec

from schemas.events import Delivery, DeliveryState
from schemas.identifiers import CODE_PATTERN

_YEARS = range(1972, 8999)  # every time zone's year is one the model takes, too

_CODE_PATTERN = CODE_PATTERN.removesuffix("$") + r"\Z"
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Stated(Protocol):
    """A state, as far as lanes, ages and due times go: a `Delivery`, or a glance at one."""

    @property
    def event_id(self) -> str: ...  # noqa: D102
    @property
    def endpoint_id(self) -> int: ...  # noqa: D102
    @property
    def subscription(self) -> str | None: ...  # noqa: D102
    @property
    def state(self) -> DeliveryState: ...  # noqa: D102
    @property
    def attempts(self) -> int: ...  # noqa: D102
    @property
    def created_at(self) -> datetime: ...  # noqa: D102
    @property
    def next_attempt_at(self) -> datetime | None: ...  # noqa: D102
    @property
    def sequence(self) -> int: ...  # noqa: D102


class Glance(msgspec.Struct, frozen=True, gc=False):
    """Every field of a `Delivery`, so that what is taken here is never refused by the model later."""

    event_id: str
    event_type: str
    endpoint_id: int
    service: Annotated[str, msgspec.Meta(pattern=_CODE_PATTERN)]
    subscription: str | None
    body: str
    state: DeliveryState
    attempts: Annotated[int, msgspec.Meta(ge=0)]
    created_at: _Instant
    next_attempt_at: _Instant | None
    sequence: int = 0
    last_status: int | None = None
    last_error: Annotated[str, msgspec.Meta(max_length=500)] | None = None


_DECODER = msgspec.json.Decoder(Glance)
_ENCODER = msgspec.json.Encoder()

Whole = Delivery | Glance
"""A state with all its fields."""

AnyState = TypeVar("AnyState", bound=Whole)


def glance_at(document: bytes) -> Glance | None:
    """Return what a state says; null where only the model can tell whether it is one."""
    try:
        glance = _DECODER.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    is_plain = _is_plain(glance.created_at) and (glance.next_attempt_at is None or _is_plain(glance.next_attempt_at))
    return glance if is_plain else None


def whole(document: bytes) -> Whole:
    """Return all of a state that was read before, so that it is one."""
    return glance_at(document) or Delivery.model_validate_json(document)


def document_of(state: Whole) -> bytes:
    """Return the state as its record has it: the same bytes for both."""
    return _ENCODER.encode(state) if isinstance(state, Glance) else state.model_dump_json().encode()


def changed(before: AnyState, /, **facts: Any) -> AnyState:
    """Return a state with other facts."""
    if isinstance(before, Glance):
        return msgspec.structs.replace(before, **facts)
    return before.model_copy(update=facts)


def _is_plain(instant: datetime) -> bool:
    return instant.tzinfo is UTC and instant.year in _YEARS
