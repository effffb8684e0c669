"""The fast path: takes a batch in which everything is well, and raises for anything that deserves a closer look.

Raising costs time, never counters: the slow path then decides. So each check here may be stricter than the contract,
and none may be laxer.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

import msgspec
from msgspec import UNSET, UnsetType

from schemas.identifiers import check_code, check_external_id
from schemas.money import parse_decimal
from schemas.periods import parse_instant
from schemas.usage import COUNTERS_MAX, PROPERTIES_MAX, REVISION_MAX, SCHEMA_VERSION
from schemas.wire.columns import CounterColumns, compact, to_micros
from schemas.wire.repeats import check_names, holds_only

_INT64 = 2**63

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_Properties = dict[str, str | int | bool | None]
_TOP = ("schema_version", "service", "counters", "columns")


class _Row(msgspec.Struct, gc=False):
    subscription: str
    metric: str
    quantity: msgspec.Raw
    period_start: str
    period_end: str
    idempotency_key: str
    revision: int | UnsetType = UNSET
    properties: _Properties | UnsetType = UNSET


class _Columns(msgspec.Struct, gc=False):
    subscriptions: list[str]
    metrics: list[str]
    periods: list[tuple[str, str]]
    subscription: list[int]
    metric: list[int]
    period: list[int]
    keys: list[str]
    quantities: list[int | str]
    revisions: list[int] | UnsetType = UNSET
    properties: list[_Properties | None] | UnsetType | None = UNSET


class _Batch(msgspec.Struct, gc=False):
    service: str
    schema_version: int | UnsetType = UNSET
    counters: list[_Row] | UnsetType = UNSET
    columns: _Columns | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Batch)


def decode(value: bytes) -> CounterColumns:
    """Return the counters of a batch without a fault.

    Raises:
        msgspec.DecodeError, ValueError, IndexError, RecursionError: left to the slow path.
    """
    batch = _decoder.decode(value)
    if batch.schema_version not in (SCHEMA_VERSION, UNSET):
        raise ValueError("another schema version")
    if not value.isascii():
        value.decode()  # The decoder looks into no string that it skips.
    _code(batch.service)
    if batch.columns is not UNSET and batch.counters is UNSET:
        columns = _from_columns(value, batch, batch.columns)
    elif batch.counters is not UNSET and batch.columns is UNSET:
        columns = _from_rows(value, batch.service, batch.counters)
    else:
        raise ValueError("neither form, or both")
    if not 1 <= len(columns) <= COUNTERS_MAX:
        raise ValueError("too few or too many counters")
    for subscription in columns.subscriptions:
        _external_id(subscription)
    for metric in columns.metrics:
        _code(metric)
    _check_keys(columns.keys)
    _check_revisions(columns.revisions)
    return columns


def _from_columns(value: bytes, batch: _Batch, wire: _Columns) -> CounterColumns:
    size = len(wire.keys)
    if any(len(column) != size for column in (wire.subscription, wire.metric, wire.period, wire.quantities)):
        raise ValueError("columns differ in length")
    if wire.revisions is not UNSET and len(wire.revisions) != size:
        raise ValueError("columns differ in length")
    _check_indexes(wire.subscription, wire.subscriptions)
    _check_indexes(wire.metric, wire.metrics)
    _check_indexes(wire.period, wire.periods)
    quantities, properties = _quantities(wire.quantities), _properties(wire.properties, size)
    texts = 0 if quantities is wire.quantities else list(map(type, wire.quantities)).count(str)
    if not holds_only(value, _strings(batch, wire) + texts):
        if properties is not None:
            raise ValueError("names of properties may occur twice")
        check_names(value, dict.fromkeys((*_TOP, *_Columns.__struct_fields__)))
    return CounterColumns(
        service=batch.service,
        subscriptions=wire.subscriptions,
        metrics=wire.metrics,
        periods=[_interval(start, end) for start, end in wire.periods],
        subscription=wire.subscription,
        metric=wire.metric,
        period=wire.period,
        keys=wire.keys,
        quantities=quantities,
        revisions=None if wire.revisions is UNSET else wire.revisions,
        properties=properties,
    )


def _from_rows(value: bytes, service: str, rows: Sequence[_Row]) -> CounterColumns:
    counts: dict[str, int | None] = dict.fromkeys(_TOP)
    counts |= dict.fromkeys(_Row.__struct_fields__, len(rows))
    counts["revision"] = sum(row.revision is not UNSET for row in rows)
    counts["properties"] = sum(row.properties is not UNSET for row in rows)
    if counts["properties"] and any(row.properties for row in rows):
        raise ValueError("properties are judged one by one")
    check_names(value, counts)
    subscriptions: dict[str, int] = {}
    metrics: dict[str, int] = {}
    periods: dict[tuple[str, str], int] = {}
    return CounterColumns(
        service=service,
        subscription=[subscriptions.setdefault(row.subscription, len(subscriptions)) for row in rows],
        metric=[metrics.setdefault(row.metric, len(metrics)) for row in rows],
        period=[periods.setdefault((row.period_start, row.period_end), len(periods)) for row in rows],
        subscriptions=list(subscriptions),
        metrics=list(metrics),
        periods=[_interval(start, end) for start, end in periods],
        keys=[row.idempotency_key for row in rows],
        quantities=[_row_quantity(bytes(row.quantity).decode()) for row in rows],
        revisions=[0 if row.revision is UNSET else row.revision for row in rows],
    )


def _strings(batch: _Batch, wire: _Columns) -> int:
    """Return how many strings, names included and quantities not, a batch of columns has that holds nothing else."""
    optional = (batch.schema_version, wire.revisions, wire.properties)
    names = 2 + 8 + sum(field is not UNSET for field in optional)
    texts = 1 + len(wire.subscriptions) + len(wire.metrics) + 2 * len(wire.periods) + len(wire.keys)
    if isinstance(wire.properties, list):
        texts += sum(len(each) + list(map(type, each.values())).count(str) for each in wire.properties if each)
    return names + texts


# --- columns checked as a whole -----------------------------------------------------------------------------------


def _check_indexes(indexes: Sequence[int], dictionary: Sequence[object]) -> None:
    if indexes and not (min(indexes) >= 0 and max(indexes) < len(dictionary)):
        raise IndexError("an index lies outside its dictionary")


def _check_keys(keys: Sequence[str]) -> None:
    joined = "".join(keys)
    # One look at all of them: printable ASCII of at most 255 characters is always fine.
    if not (min(map(len, keys)) and max(map(len, keys)) <= 255 and joined.isascii() and joined.isprintable()):  # noqa: PLR2004
        for key in keys:
            check_external_id(key)


def _check_revisions(revisions: Sequence[int] | None) -> None:
    if revisions is not None and not (min(revisions) >= 0 and max(revisions) <= REVISION_MAX):
        raise ValueError("a revision is out of range")


def _properties(wire: list[_Properties | None] | UnsetType | None, size: int) -> list[_Properties | None] | None:
    if not isinstance(wire, list):
        return None
    if len(wire) != size or any(each and len(each) > PROPERTIES_MAX for each in wire):
        raise ValueError("too few or too many properties")
    return [each or None for each in wire] if any(wire) else None


def _quantities(quantities: Sequence[int | str]) -> Sequence[int | Decimal]:
    """Return the quantities checked; whole numbers within 64 bits, the usual case, stay untouched."""
    try:
        if min(quantities) >= -_INT64 and max(quantities) < _INT64:  # type: ignore[operator]  # text raises
            return quantities  # type: ignore[return-value]
    except TypeError:
        pass
    return [compact(parse_decimal(quantity)) for quantity in quantities]


def _row_quantity(raw: str) -> int | Decimal:
    """Return a quantity from its JSON text, a number or a string without escapes."""
    if raw.startswith('"'):
        return compact(parse_decimal(raw[1:-1]))
    if not _JSON_NUMBER.fullmatch(raw):
        raise ValueError("not a number")
    return compact(parse_decimal(raw))


_code = lru_cache(maxsize=4096)(check_code)
_external_id = lru_cache(maxsize=262144)(check_external_id)


@lru_cache(maxsize=65536)
def _interval(start: str, end: str) -> tuple[int, int]:
    interval = to_micros(parse_instant(start)), to_micros(parse_instant(end))
    if interval[1] < interval[0]:
        raise ValueError("period_end must not lie before period_start")
    return interval
