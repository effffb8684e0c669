"""Usage batches: what apps publish to `billing.usage.v1`.

A batch carries counters of one service, as objects (for people and any client) or as columns (for the SDK); both
decode to the same counters. These models are the contract and the check at the edges; the meter's fast path
(`schemas.wire`) accepts exactly what they accept.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from schemas.identifiers import Code, ExternalId
from schemas.money import DECIMAL_PATTERN, TEXT_CHARACTERS_MAX, format_decimal, parse_decimal
from schemas.periods import INSTANT_PATTERN, check_instant, format_instant, parse_instant

SCHEMA_VERSION = 1
COUNTERS_MAX = 10_000
REVISION_MAX = 2**31 - 1
PROPERTIES_MAX = 32


def _instant(value: object) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("must carry an offset, like Z or +02:00")
        return check_instant(value)
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 date-time with offset, like 2026-07-01T00:00:00Z")  # noqa: TRY004
    return parse_instant(value)


def _properties(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > PROPERTIES_MAX:
        raise ValueError(f"must have at most {PROPERTIES_MAX} entries")
    for name, content in value.items():
        if not isinstance(content, (str, int, bool, Decimal, type(None))):
            raise ValueError(f"{name!r} must be text, a number, a boolean or null")  # noqa: TRY004
        if isinstance(content, Decimal) and not content.is_finite():
            raise ValueError(f"{name!r} must be finite")
        try:
            f"{name}{content}".encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name!r} must be valid Unicode text (it holds a lone surrogate)") from None
    return value


Quantity = Annotated[
    Decimal,
    BeforeValidator(parse_decimal),
    PlainSerializer(format_decimal, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                {"type": "string", "maxLength": TEXT_CHARACTERS_MAX, "pattern": DECIMAL_PATTERN},
            ]
        }
    ),
]
"""An exact decimal: JSON number or string in, string out."""

Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": INSTANT_PATTERN}),
]
"""An instant: RFC 3339 with offset in, UTC with Z out."""


Properties = Annotated[
    dict[str, Any],
    AfterValidator(_properties),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": PROPERTIES_MAX,
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        }
    ),
]
"""What else an app says about a counter: names with text, a number, a boolean or null."""

Revision = Annotated[int, Field(ge=0, le=REVISION_MAX, strict=True)]
"""Of the values of one key the greatest revision wins, among equals the later in the log."""

Index = Annotated[int, Field(ge=0, strict=True)]
"""Place in one of the dictionaries of `Columns`."""


class Counter(BaseModel):
    """One aggregated counter: `quantity` of `metric` that `subscription` used in [period_start, period_end).

    The same `idempotency_key` again (per service, subscription and metric) replaces the earlier value: the greater
    `revision` wins, among equals the later in the log.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    subscription: ExternalId
    metric: Code
    quantity: Quantity
    period_start: Instant
    period_end: Instant
    idempotency_key: ExternalId
    revision: Revision = 0
    properties: Properties = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.period_end < self.period_start:
            raise ValueError("period_end must not lie before period_start")
        return self


class Columns(BaseModel):
    """Counters as columns: the plural lists are dictionaries, the singular ones index into them, one entry a counter.

    `quantities` holds whole numbers or decimal strings. `revisions` and `properties` may be left out.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    subscriptions: list[ExternalId]
    metrics: list[Code]
    periods: list[tuple[Instant, Instant]]
    subscription: list[Index]
    metric: list[Index]
    period: list[Index]
    keys: list[ExternalId] = Field(min_length=1, max_length=COUNTERS_MAX)
    quantities: list[Quantity]
    revisions: list[Revision] | None = None
    properties: list[Properties | None] | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        size = len(self.keys)
        for name in ("subscription", "metric", "period", "quantities", "revisions", "properties"):
            column: list[Any] | None = getattr(self, name)
            if column is not None and len(column) != size:
                raise ValueError(f"{name} must have {size} entries, as keys has")
        indexes = (self.subscription, self.metric, self.period)
        sizes = (len(self.subscriptions), len(self.metrics), len(self.periods))
        if any(max(column) >= size for column, size in zip(indexes, sizes, strict=True)):
            raise ValueError("an index lies outside its dictionary")
        return self


class UsageBatch(BaseModel):
    """Value of a `billing.usage.v1` record: 1 to 10,000 counters of one service and one partition.

    Exactly one of `counters` and `columns` is present. Unknown fields are ignored by readers.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        json_schema_extra={
            "oneOf": [
                {"required": ["counters"], "properties": {"counters": {"type": "array"}}},
                {"required": ["columns"], "properties": {"columns": {"type": "object"}}},
            ]
        },
    )

    schema_version: int = Field(
        SCHEMA_VERSION, ge=SCHEMA_VERSION, le=SCHEMA_VERSION, strict=True, description="version of this format"
    )
    service: Code
    counters: list[Counter] | None = Field(None, min_length=1, max_length=COUNTERS_MAX)
    columns: Columns | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.counters is None) == (self.columns is None):
            raise ValueError("must carry either counters or columns")
        return self
