"""Records derived from the usage log and the catalog: totals, overage, and what Odoo did with it.

Decimals are strings, times UTC with Z. Each record is the whole truth of its key: a reader keeps the greatest
version and ignores the rest.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from schemas.catalog import Aggregation, ChargeModel, Tier
from schemas.identifiers import Code, ExternalId, overage_key, total_key
from schemas.money import DECIMAL_PATTERN, DERIVED_DIGITS_MAX, format_decimal, parse_decimal
from schemas.usage import Instant


class Version(NamedTuple):
    """Age of a derived record, compared left to right: monotone per key.

    `epoch` is raised when the usage topic is made anew; `source_offset` is the last usage record that changed the
    aggregate; `catalog_offset` the catalog position it was rated against.
    """

    epoch: int
    source_offset: int
    catalog_offset: int


def _version(value: object) -> object:
    return Version(*value) if isinstance(value, (list, tuple)) and len(value) == len(Version._fields) else value


VersionField = Annotated[
    Version,
    BeforeValidator(_version),
    PlainSerializer(list, return_type=list[int], when_used="json"),
]
"""A version on the wire: a list of three whole numbers."""


Exact = Annotated[
    Decimal,
    BeforeValidator(lambda value: parse_decimal(value, DERIVED_DIGITS_MAX)),
    PlainSerializer(format_decimal, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DECIMAL_PATTERN}),
]
"""A derived decimal: exact, and allowed more digits than a single counter."""


class _Derived(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    service: Code
    subscription: ExternalId
    metric: Code
    period_start: Instant
    period_end: Instant
    version: VersionField


class Total(_Derived):
    """Value of `billing.totals.v1`: the aggregated quantity of one metric in one billing period.

    `thresholds`: ``charge/threshold`` of those that have been reached and reported in this period.
    """

    aggregation: Aggregation
    quantity: Exact
    counters: int
    thresholds: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Key of the record."""
        return total_key(self.service, self.subscription, self.metric, self.period_start)


class Overage(_Derived):
    """Value of `billing.overage.v1`: one charge applied to one total, with the terms that gave the amount.

    `billable_units` is what the charge prices (standard, volume, graduated: the units over `quota`; package: all);
    `batches` the started batches; `amount` is rounded once to `currency`. A charge that has ceased to apply ends with
    a record in which quota, price and amount are 0.
    """

    charge: Code
    total: Exact
    quota: Exact
    billable_units: Exact
    batches: Exact
    batch_size: Exact
    price_per_unit: Exact
    charge_model: ChargeModel
    amount: Exact
    currency: str
    counters: int
    tiers: tuple[Tier, ...] = ()

    @property
    def key(self) -> str:
        """Key of the record."""
        return overage_key(self.service, self.subscription, self.charge, self.period_start)

    @property
    def total_key(self) -> str:
        """Key of the total that was rated."""
        return total_key(self.service, self.subscription, self.metric, self.period_start)


class LineStatus(StrEnum):
    """What Odoo did with an overage; meanings in `schemas.odoo_rpc.LineStatus`."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    NOTHING = "nothing"
    STALE = "stale"
    CREDITED = "credited"
    PARKED = "parked"


class Line(BaseModel):
    """Value of `billing.lines.v1`: what Odoo holds for one overage record."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    version: VersionField
    status: LineStatus
    order_id: int | None
    line_id: int | None
    revision: int
    amount: Exact
    invoiced_amount: Exact
    currency: str
    error: str | None = None
