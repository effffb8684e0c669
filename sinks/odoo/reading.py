"""Records of `overage.v1` to rows of Odoo. Pure.

Nearly every record is one the meter wrote: canonical text, which goes to Odoo as it is. Those are read without a model,
in a fifth of the time. Whatever is not canonical takes the model's way, which makes it so or says what is wrong.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, cast

import msgspec
from pydantic import ValidationError

from schemas.derived import Line, Overage, Version
from schemas.identifiers import CODE_PATTERN, EXTERNAL_ID_PATTERN
from schemas.money import DECIMAL_PLACES_MAX, DERIVED_DIGITS_MAX, format_decimal
from schemas.odoo_rpc import OverageRow
from schemas.periods import format_instant
from sinks.kafka_client import Record
from sinks.odoo.answers import parked_line

_NO_VERSION = Version(0, 0, 0)
_NO_CURRENCY = "XXX"  # ISO 4217's code for none
_EXTERNAL_ID_BYTES_MAX = 255


class Rated(NamedTuple):
    """One overage on its way to Odoo."""

    row: OverageRow
    version: Version

    @property
    def key(self) -> str:
        """Key of the record and of the row."""
        return self.row["key"]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that is no overage; `line` tells readers of its key, null where not even the key is readable."""

    record: Record
    line: Line | None
    error: str


def read_overage(record: Record) -> Rated | Malformed | None:
    """Return the overage in a record, why there is none, or null for a tombstone."""
    if record.value is None:
        return None
    return _read_canonical(record) or _read_any(record, record.value)


def rated(overage: Overage) -> Rated:
    """Return what the addon takes; decimals in plain notation, times in UTC with Z."""
    row = OverageRow(
        key=overage.key,
        version=list(overage.version),
        service=overage.service,
        subscription=overage.subscription,
        charge=overage.charge,
        metric=overage.metric,
        period_start=format_instant(overage.period_start),
        period_end=format_instant(overage.period_end),
        total=format_decimal(overage.total),
        quota=format_decimal(overage.quota),
        billable_units=format_decimal(overage.billable_units),
        batches=format_decimal(overage.batches),
        batch_size=format_decimal(overage.batch_size),
        price_per_unit=format_decimal(overage.price_per_unit),
        charge_model=overage.charge_model.value,
        amount=format_decimal(overage.amount),
        currency=overage.currency,
        counters=overage.counters,
    )
    return Rated(row, overage.version)


_Code = Annotated[str, msgspec.Meta(pattern=CODE_PATTERN[:-1] + r"\Z")]
_Id = Annotated[
    str, msgspec.Meta(min_length=1, max_length=_EXTERNAL_ID_BYTES_MAX, pattern=EXTERNAL_ID_PATTERN[:-1] + r"\Z")
]
_Number = Annotated[
    str,
    msgspec.Meta(
        max_length=DERIVED_DIGITS_MAX,
        pattern=rf"^(0|-?(0|[1-9][0-9]*)\.[0-9]{{0,{DECIMAL_PLACES_MAX - 1}}}[1-9]|-?[1-9][0-9]*)\Z",
    ),
]
_Instant = Annotated[
    str,
    msgspec.Meta(pattern=r"^[2-8][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):00:00Z\Z"),
]


class _Canonical(TypedDict):
    """An overage as the meter writes it, in the row's order; whole hours and days every month has."""

    service: _Code
    subscription: _Id
    charge: _Code
    metric: _Code
    period_start: _Instant
    period_end: _Instant
    version: tuple[int, int, int]
    total: _Number
    quota: _Number
    billable_units: _Number
    batches: _Number
    batch_size: _Number
    price_per_unit: _Number
    charge_model: Literal["standard", "package", "volume", "graduated"]
    amount: _Number
    currency: str
    counters: int


_canonical = msgspec.json.Decoder(_Canonical)


def _read_canonical(record: Record) -> Rated | None:
    """Return the overage if its text is canonical and agrees with the record's key."""
    try:
        fields = cast("dict[str, Any]", _canonical.decode(record.value or b""))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    key = f"{fields['service']}/{fields['subscription']}/{fields['charge']}/{fields['period_start']}"
    # Non-ASCII ids are counted in bytes: the model does that.
    if not key.isascii() or key.encode() != record.key:
        return None
    fields["key"] = key
    return Rated(cast("OverageRow", fields), Version(*fields["version"]))


def _read_any(record: Record, value: bytes) -> Rated | Malformed:
    try:
        overage = Overage.model_validate_json(value)
    except ValidationError as error:
        return _malformed(record, f"not an overage record: {_first_line(error)}")
    if record.key != overage.key.encode():
        return _malformed(record, "the record's key is not the key of its overage")
    return rated(overage)


def _malformed(record: Record, error: str) -> Malformed:
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        key = ""
    fields = _fields(record.value or b"")
    line = parked_line(key, _version(fields), _currency(fields), error) if key else None
    return Malformed(record, line, error)


def _fields(value: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _version(fields: Mapping[str, Any]) -> Version:
    """Return the version if it can be read: a parked line with version 0 would lose against the key's older line."""
    numbers = fields.get("version")
    if not isinstance(numbers, list) or [type(number) for number in numbers] != [int] * len(_NO_VERSION):
        return _NO_VERSION
    return Version(*numbers)


def _currency(fields: Mapping[str, Any]) -> str:
    currency = fields.get("currency")
    return currency if isinstance(currency, str) and len(currency) == len(_NO_CURRENCY) else _NO_CURRENCY


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
