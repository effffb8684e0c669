"""Records of `overage.v1` to rows of Odoo, and Odoo's answers to records of `lines.v1`. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from schemas.derived import Line, LineStatus, Overage, Version
from schemas.errors import InvariantBroken
from schemas.money import format_decimal
from schemas.odoo_rpc import LineResult, OverageRow
from schemas.periods import format_instant
from sinks.kafka_client import Record

_ERROR_CHARACTERS_MAX = 500
_NO_VERSION = Version(0, 0, 0)
_NO_CURRENCY = "XXX"  # ISO 4217's code for none


@dataclass(slots=True)
class Pending:
    """One key with the newest overage read for it, and all records that are settled together with it."""

    overage: Overage
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that is no overage; `line` tells readers of its key, null where not even the key is readable."""

    record: Record
    line: Line | None
    error: str


def read_overage(record: Record) -> Overage | Malformed | None:
    """Return the overage in a record, why there is none, or null for a tombstone."""
    if record.value is None:
        return None
    try:
        overage = Overage.model_validate_json(record.value)
    except ValidationError as error:
        return _malformed(record, f"not an overage record: {_first_line(error)}")
    if record.key != overage.key.encode():
        return _malformed(record, "the record's key is not the key of its overage")
    return overage


def coalesce(overages: Iterable[tuple[Record, Overage]]) -> dict[str, Pending]:
    """Return per key the greatest version (of equal ones the later), with the records of all its versions."""
    newest: dict[str, Pending] = {}
    for record, overage in overages:
        pending = newest.setdefault(overage.key, Pending(overage, []))
        pending.records.append(record)
        if overage.version >= pending.overage.version:
            pending.overage = overage
    return newest


def calls_of(pendings: Iterable[Pending], rows_max: int, bytes_max: int) -> Iterator[list[Pending]]:
    """Cut into calls of at most `rows_max` rows and about `bytes_max` bytes, but at least one row; order is kept."""
    call: list[Pending] = []
    size_bytes = 0
    for pending in pendings:
        row_bytes = len(pending.records[-1].value or b"")
        if call and (len(call) >= rows_max or size_bytes + row_bytes > bytes_max):
            yield call
            call, size_bytes = [], 0
        call.append(pending)
        size_bytes += row_bytes
    if call:
        yield call


def row_of(overage: Overage) -> OverageRow:
    """Return what the addon takes; decimals in plain notation, times in UTC with Z."""
    return OverageRow(
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


def check_answer(rows: Sequence[OverageRow], results: Sequence[LineResult]) -> None:
    """Raise InvariantBroken unless there is one result per row, in the rows' order."""
    if [row["key"] for row in rows] != [result["key"] for result in results]:
        raise InvariantBroken(f"Odoo answered {len(results)} results that do not match the {len(rows)} rows")


def line_of(overage: Overage, result: LineResult) -> Line:
    """Return what `lines.v1` says about one row that Odoo answered."""
    error = result.get("error")
    return Line(
        key=overage.key,
        version=overage.version,
        status=LineStatus(result["status"]),
        order_id=result["order_id"],
        line_id=result["line_id"],
        revision=result["revision"],
        amount=Decimal(result["amount"]),
        invoiced_amount=Decimal(result["invoiced_amount"]),
        currency=overage.currency,
        error=None if error is None else error[:_ERROR_CHARACTERS_MAX],
    )


def parked_line(overage: Overage, error: str) -> Line:
    """Return the line of a row that Odoo refused without saying what it holds."""
    return _parked(overage.key, overage.version, overage.currency, error)


def _malformed(record: Record, error: str) -> Malformed:
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        key = ""
    fields = _fields(record.value or b"")
    line = _parked(key, _version(fields), _currency(fields), error) if key else None
    return Malformed(record, line, error)


def _parked(key: str, version: Version, currency: str, error: str) -> Line:
    return Line(
        key=key,
        version=version,
        status=LineStatus.PARKED,
        order_id=None,
        line_id=None,
        revision=0,
        amount=Decimal(0),
        invoiced_amount=Decimal(0),
        currency=currency,
        error=error[:_ERROR_CHARACTERS_MAX],
    )


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
