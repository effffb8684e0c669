"""Requests and answers of the gateway, as OpenAPI shows them. Unknown fields are ignored everywhere."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, cast

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

from schemas.catalog import ChargeModel
from schemas.identifiers import Code, ExternalId
from schemas.usage import COUNTERS_MAX, PROPERTIES_MAX, Counter, Instant, Quantity

_WHOLE_DIGITS_MAX = 18
_ID_MAX = 2**31 - 1  # Odoo's ids are 32-bit

DECIMAL_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"^-?[0-9]{1,30}(\.[0-9]{1,18})?$"},
        {"type": "number", "exclusiveMinimum": -1e30, "exclusiveMaximum": 1e30},
    ],
    "description": "exact decimal, at most 30 digits before and 18 after the point",
}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT_SCHEMA = {
    "type": "string",
    "format": "date-time",
    "pattern": "^(197[1-9]|19[89][0-9]|[2-8][0-9]{3})-",
    "description": "RFC 3339 with offset",
}
_APP_ID_SCHEMA = {
    "type": "string",
    "pattern": r"^[^\u0000-\u001f\u007f]{1,255}$",
    "description": "the app's own id: 1 to 255 bytes of UTF-8, no control characters",
}


def _writable(value: Any) -> Any:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode text (it holds a lone surrogate)") from None
    return value


def _describe_properties(schema: dict[str, Any]) -> None:
    schema["properties"]["properties"] |= {
        "maxProperties": PROPERTIES_MAX,
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    }


def _whole(value: object) -> object:
    """Take 1.0 for 1, as JSON Schema does."""
    if isinstance(value, Decimal) and value.adjusted() < _WHOLE_DIGITS_MAX and value == value.to_integral_value():
        return int(value)
    return value


def _date(value: object) -> object:
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("must be a date, like 2026-07-01")
    return date.fromisoformat(value)


Text = Annotated[str, Field(max_length=255), AfterValidator(_writable)]
Day = Annotated[date, BeforeValidator(_date, json_schema_input_type=date)]
_PositiveId = Annotated[int, Field(ge=1, le=_ID_MAX, strict=True)]
OdooId = Annotated[_PositiveId, BeforeValidator(_whole, json_schema_input_type=_PositiveId)]
AppId = Annotated[ExternalId, WithJsonSchema(_APP_ID_SCHEMA)]
Moment = Annotated[Instant, WithJsonSchema(_INSTANT_SCHEMA)]


class UsageEvent(Counter):
    """One counter of the service that owns the API key. The same `idempotency_key` again replaces the value."""

    model_config = ConfigDict(json_schema_extra=_describe_properties)

    subscription: AppId = Field(alias="subscription_external_id")
    metric: Code = Field(alias="metric_code")
    quantity: Annotated[Quantity, WithJsonSchema(DECIMAL_SCHEMA)]
    period_start: Moment
    period_end: Annotated[Instant, WithJsonSchema(_INSTANT_SCHEMA | {"description": "not before period_start"})]
    idempotency_key: AppId

    _whole_revision = field_validator("revision", mode="before")(_whole)

    @field_validator("properties")
    @classmethod
    def _properties_are_writable(cls, value: dict[str, Any]) -> dict[str, Any]:
        return cast("dict[str, Any]", _writable(value))


class UsageRequest(BaseModel):
    """Counters to accept, all or none."""

    events: list[UsageEvent] = Field(min_length=1, max_length=COUNTERS_MAX)


class UsageAnswer(BaseModel):
    """All counters are durable."""

    status: Literal["ok"] = "ok"
    accepted: int


class CustomerRequest(BaseModel):
    """A customer of the app."""

    external_id: AppId
    name: Text | None = None
    email: Text | None = None


class CustomerAnswer(BaseModel):
    """The one partner this customer is in Odoo."""

    status: Literal["ok"] = "ok"
    partner_id: int
    external_id: str


class SubscriptionLine(BaseModel):
    """A recurring product on the subscription."""

    product_id: OdooId
    quantity: Annotated[Quantity, WithJsonSchema(DECIMAL_SCHEMA)]


class SubscriptionRequest(BaseModel):
    """A subscription to create; with an `external_id` that exists already, that one is answered."""

    external_customer_id: AppId
    plan_id: OdooId
    plan_code: Text | None = None
    external_id: AppId | None = None
    start_date: Day | None = None
    lines: list[SubscriptionLine] = Field(max_length=500)


class SubscriptionAnswer(BaseModel):
    """The subscription in Odoo; `external_id` is the one to send counters with."""

    status: Literal["ok"] = "ok"
    subscription_id: int
    subscription_state: str
    external_id: str | None


class TierAnswer(BaseModel):
    """One tier; `up_to` inclusive, in overage units, null in the last."""

    model_config = ConfigDict(from_attributes=True)

    up_to: Quantity | None
    price_per_unit: Quantity
    flat_fee: Quantity


class ChargeAnswer(BaseModel):
    """A price on a metric; decimals are strings."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    plan_code: str | None
    metric: str
    included_quota: Quantity
    price_per_unit: Quantity
    unit_batch: Quantity
    charge_model: ChargeModel
    currency: str
    tiers: tuple[TierAnswer, ...]


class PlansAnswer(BaseModel):
    """All active charges that the service may see."""

    status: Literal["ok"] = "ok"
    charges: list[ChargeAnswer]


class HealthAnswer(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
