"""Catalog records: what Odoo owns and `billing.catalog.v1` carries, one compacted record per key ``kind/odoo id``."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationInfo, WithJsonSchema, field_validator

from schemas.identifiers import Code, ExternalId
from schemas.money import DECIMAL_PATTERN, TEXT_CHARACTERS_MAX
from schemas.usage import Instant, Quantity

COUNT_MAX = 1000
"""A period of a thousand years still ends within the calendar."""


class Aggregation(StrEnum):
    """How the counters of one period become one total."""

    SUM = "sum"
    MAX = "max"
    LAST = "last"
    UNIQUE_COUNT = "unique_count"


class ChargeModel(StrEnum):
    """How a total becomes an amount; formulas in `streams.domain.rating`."""

    STANDARD = "standard"
    PACKAGE = "package"
    VOLUME = "volume"
    GRADUATED = "graduated"


class IntervalUnit(StrEnum):
    """Unit of a plan's billing interval."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


def _schema(least: str, pattern: str) -> WithJsonSchema:
    text = {"type": "string", "maxLength": TEXT_CHARACTERS_MAX, "pattern": pattern}
    return WithJsonSchema({"anyOf": [text, {"type": "integer", least: 0}]})


# Decimals of the catalog are text; a whole number may be one. No sign passes the patterns but a plus.
NotNegative = Annotated[Quantity, Field(ge=0), _schema("minimum", DECIMAL_PATTERN.replace("-", "", 1))]
"""An exact price or quota, ≥ 0."""

Positive = Annotated[
    Quantity,
    Field(gt=0),
    _schema("exclusiveMinimum", "^(?=[^eE]*[1-9])" + DECIMAL_PATTERN.replace("-", "", 1).removeprefix("^")),
]
"""An exact batch size, > 0."""


class _Record(BaseModel):
    """Read leniently: a newer feed may add fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: int


class Service(_Record):
    """An app that publishes counters. Keys are kept as SHA-256 (hex) only; several may be live at once."""

    kind: Literal["service"] = "service"
    code: Code
    name: str
    active: bool = True
    api_key_hashes: tuple[str, ...] = ()


class Metric(_Record):
    """What is counted. `service` null means shared by all services.

    `split_pro_rata`: a counter that reaches over the end of its billing period is divided over the periods in
    proportion to time, exactly; otherwise it counts at its start. Sums alone can be divided.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"split_pro_rata": {"const": True}}, "required": ["split_pro_rata"]},
            "then": {"properties": {"aggregation": {"const": "sum"}}},
        }
    )

    kind: Literal["metric"] = "metric"
    service: Code | None = None
    code: Code
    name: str
    aggregation: Aggregation
    unique_property: str | None = None
    allow_negative: bool = False
    split_pro_rata: bool = False
    active: bool = True

    @field_validator("split_pro_rata")
    @classmethod
    def _only_sums_are_split(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("aggregation") is not Aggregation.SUM:
            raise ValueError("needs the aggregation sum: a part of any other total means nothing")
        return value


class Tier(BaseModel):
    """One tier of a volume or graduated charge; `up_to` inclusive, in overage units, null in the last tier only."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    up_to: Quantity | None
    price_per_unit: Quantity
    flat_fee: Quantity = Decimal(0)


class ThresholdKind(StrEnum):
    """What a threshold's value is compared with."""

    QUANTITY = "quantity"  # the period's total, in units
    QUOTA_PERCENT = "quota_percent"  # the total as a percentage of the included quota; a quota of 0 has none
    AMOUNT = "amount"  # the charge's amount for the period, in its currency


class Threshold(BaseModel):
    """When to tell the app that usage has reached a value, once in each billing period."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: Code
    kind: ThresholdKind
    value: Positive


class Charge(_Record):
    """A price on a metric for the orders of one plan code (or, without one, of one recurrence plan).

    It prices a billing period when ``valid_from <= day < valid_to``, where `day` is the date on which the period
    starts in the subscription's time zone; a null bound is none. Neither the day of a counter nor today matters, so
    a period has one price from its start to its last late counter. Terms that were invoiced never change in place:
    a new version is another charge, with a code of its own, whose `valid_from` is the former one's `valid_to`. An
    inactive charge prices nothing, whatever its dates.
    """

    kind: Literal["charge"] = "charge"
    code: Code
    name: str
    service: Code | None = None
    metric: Code
    plan_code: str | None = None
    plan: int | None = None
    product: int
    included_quota: NotNegative
    price_per_unit: NotNegative
    unit_batch: Positive
    charge_model: ChargeModel
    currency: str
    tiers: tuple[Tier, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None
    active: bool = True


class Plan(_Record):
    """A recurrence: an order with it is billed every `count` `unit`s."""

    kind: Literal["plan"] = "plan"
    name: str
    unit: IntervalUnit
    count: int = Field(ge=1, le=COUNT_MAX)
    active: bool = True


class AccountLink(_Record):
    """An app's customer and the one partner it is in Odoo."""

    kind: Literal["account_link"] = "account_link"
    service: Code
    external_id: ExternalId
    partner: int


class Subscription(_Record):
    """A subscription order. `anchor` is its start date in `time_zone`; `state` is Odoo's `subscription_state`."""

    kind: Literal["subscription"] = "subscription"
    service: Code
    external_id: ExternalId
    customer: str | None = None
    partner: int
    plan: int
    plan_code: str | None = None
    currency: str
    state: str
    anchor: date
    next_invoice_date: date | None = None
    end_date: date | None = None
    time_zone: str = "UTC"


class Endpoint(_Record):
    """A webhook endpoint of a service. Secrets travel sealed (Fernet under `FUSION_SECRET_KEY`), newest first.

    All but the newest secret sign until `former_secret_until`. An empty `event_types` means all of them.
    """

    kind: Literal["endpoint"] = "endpoint"
    service: Code
    url: str
    sealed_secrets: tuple[str, ...]
    former_secret_until: Instant | None = None
    event_types: tuple[str, ...] = ()
    active: bool = True


CatalogEntry = Annotated[
    Service | Metric | Charge | Plan | AccountLink | Subscription | Endpoint, Field(discriminator="kind")
]
"""Any catalog record; `kind` tells which."""

catalog_entry: TypeAdapter[CatalogEntry] = TypeAdapter(CatalogEntry)
"""Parses the value of a `billing.catalog.v1` record."""


def catalog_key(entry: CatalogEntry) -> str:
    """Key of the record on the topic."""
    return f"{entry.kind}/{entry.id}"
