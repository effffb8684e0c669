"""Codec of `billing.usage.v1` values: counters to JSON bytes and back, a whole batch at a time.

Encoding always writes columns. Decoding tries a typed fast path first; whatever that refuses goes through the slow
path, which judges each counter by `schemas.usage.Counter` and so names index, field and reason of the bad ones while
the good ones go on. Both paths accept the same counters; a property test holds them to that.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

import msgspec
from pydantic import ValidationError

from schemas.errors import Reason, Refused
from schemas.identifiers import check_code, check_external_id
from schemas.money import format_decimal, parse_decimal
from schemas.periods import format_instant, parse_instant
from schemas.usage import COUNTERS_MAX, REVISION_MAX, SCHEMA_VERSION, Counter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT64 = 2**63

# msgspec's Decimal takes Python's "1_0"; the contract does not, so such a batch takes the slow path.
_UNDERSCORED = re.compile(rb'"quantity"\s*:\s*"[^"]*_')

_REASONS = {
    "subscription": Reason.BAD_SUBSCRIPTION,
    "metric": Reason.BAD_METRIC,
    "quantity": Reason.BAD_QUANTITY,
    "period_start": Reason.BAD_PERIOD,
    "period_end": Reason.BAD_PERIOD,
    "idempotency_key": Reason.BAD_KEY,
    "revision": Reason.BAD_REVISION,
    "properties": Reason.BAD_PROPERTIES,
}


@dataclass(frozen=True, slots=True)
class CounterColumns:
    """Checked counters of one batch; the plural lists are dictionaries that the singular ones index.

    `periods` holds (start, end) in microseconds since 1970 UTC; `quantities` int where whole, else Decimal, all
    exact and bounded; `revisions` null means all 0; `properties` null means none anywhere; `indexes` are the
    positions in the published batch, null meaning 0, 1, 2, …
    """

    service: str
    subscriptions: Sequence[str]
    metrics: Sequence[str]
    periods: Sequence[tuple[int, int]]
    subscription: Sequence[int]
    metric: Sequence[int]
    period: Sequence[int]
    keys: Sequence[str]
    quantities: Sequence[int | Decimal]
    revisions: Sequence[int] | None = None
    properties: Sequence[dict[str, Any] | None] | None = None
    indexes: Sequence[int] | None = None

    def __len__(self) -> int:
        """Number of counters."""
        return len(self.keys)

    def index_of(self, position: int) -> int:
        """Return the position in the published batch of the counter at `position` here."""
        return position if self.indexes is None else self.indexes[position]

    def select(self, positions: Sequence[int]) -> "CounterColumns":
        """Return the counters at these positions; the dictionaries stay as they are."""
        return replace(
            self,
            subscription=[self.subscription[i] for i in positions],
            metric=[self.metric[i] for i in positions],
            period=[self.period[i] for i in positions],
            keys=[self.keys[i] for i in positions],
            quantities=[self.quantities[i] for i in positions],
            revisions=self.revisions and [self.revisions[i] for i in positions],
            properties=self.properties and [self.properties[i] for i in positions],
            indexes=[self.index_of(i) for i in positions],
        )


@dataclass(frozen=True, slots=True)
class RefusedCounter:
    """One counter of a batch that was refused: its position (null: the whole batch), the field and why."""

    index: int | None
    reason: Reason
    field: str | None
    message: str


def to_micros(instant: datetime) -> int:
    """Return an aware instant as microseconds since 1970 UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the UTC instant of `to_micros`."""
    return _EPOCH + timedelta(microseconds=micros)


def encode_batch(service: str, counters: Iterable[Counter]) -> bytes:
    """Return the value of one usage record, in columns; the caller sees to one partition and at most 10,000."""
    subscriptions: dict[str, int] = {}
    metrics: dict[str, int] = {}
    periods: dict[tuple[datetime, datetime], int] = {}
    columns: dict[str, list[Any]] = {name: [] for name in ("subscription", "metric", "period", "keys", "quantities")}
    revisions: list[int] = []
    properties: list[dict[str, Any] | None] = []
    for counter in counters:
        columns["subscription"].append(subscriptions.setdefault(counter.subscription, len(subscriptions)))
        columns["metric"].append(metrics.setdefault(counter.metric, len(metrics)))
        interval = (counter.period_start, counter.period_end)
        columns["period"].append(periods.setdefault(interval, len(periods)))
        columns["keys"].append(counter.idempotency_key)
        columns["quantities"].append(_encode_quantity(counter.quantity))
        revisions.append(counter.revision)
        properties.append(counter.properties or None)
    document: dict[str, Any] = {
        "subscriptions": list(subscriptions),
        "metrics": list(metrics),
        "periods": [[format_instant(start), format_instant(end)] for start, end in periods],
        **columns,
    }
    if any(revisions):
        document["revisions"] = revisions
    if any(properties):
        document["properties"] = properties
    return msgspec.json.encode({"schema_version": SCHEMA_VERSION, "service": service, "columns": document})


def to_counters(columns: CounterColumns) -> list[Counter]:
    """Return checked columns as counters, one object each."""
    return [
        Counter(
            subscription=columns.subscriptions[columns.subscription[i]],
            metric=columns.metrics[columns.metric[i]],
            quantity=Decimal(columns.quantities[i]),
            period_start=from_micros(columns.periods[columns.period[i]][0]),
            period_end=from_micros(columns.periods[columns.period[i]][1]),
            idempotency_key=columns.keys[i],
            revision=columns.revisions[i] if columns.revisions else 0,
            properties=(columns.properties[i] if columns.properties else None) or {},
        )
        for i in range(len(columns))
    ]


def decode_batch(value: bytes) -> tuple[CounterColumns, list[RefusedCounter]]:
    """Return the good counters of a usage record's value and the refused ones.

    Raises:
        Refused: nothing of the record can be used (not JSON, not a batch, service or version unknown).
    """
    try:
        return _decode_fast(value), []
    except (msgspec.DecodeError, ValueError, IndexError, RecursionError):
        return _decode_slowly(value)


class _Row(msgspec.Struct, gc=False):
    subscription: str
    metric: str
    quantity: Decimal
    period_start: str
    period_end: str
    idempotency_key: str
    revision: int = 0
    properties: dict[str, str | int | bool | None] = {}


class _Columns(msgspec.Struct, gc=False):
    subscriptions: list[str]
    metrics: list[str]
    periods: list[tuple[str, str]]
    subscription: list[int]
    metric: list[int]
    period: list[int]
    keys: list[str]
    quantities: list[int | str]
    revisions: list[int] | None = None
    properties: list[dict[str, str | int | bool | None] | None] | None = None


class _Batch(msgspec.Struct, gc=False):
    service: str
    schema_version: int = SCHEMA_VERSION
    counters: list[_Row] | None = None
    columns: _Columns | None = None


_decoder = msgspec.json.Decoder(_Batch)


def _decode_fast(value: bytes) -> CounterColumns:
    """Decode a batch in which everything is well; raise for anything that deserves a closer look."""
    batch = _decoder.decode(value)
    if batch.schema_version != SCHEMA_VERSION or (batch.counters is None) == (batch.columns is None):
        raise ValueError("left to the slow path")
    _code(batch.service)
    if batch.columns is not None:
        columns = _from_columns(batch.service, batch.columns)
    else:
        if _UNDERSCORED.search(value):
            raise ValueError("left to the slow path")
        columns = _from_rows(batch.service, batch.counters or [])
    if not 1 <= len(columns) <= COUNTERS_MAX:
        raise ValueError("left to the slow path")
    for subscription in columns.subscriptions:
        _external_id(subscription)
    for metric in columns.metrics:
        _code(metric)
    _check_keys(columns.keys)
    _check_revisions(columns.revisions)
    return columns


def _from_columns(service: str, wire: _Columns) -> CounterColumns:
    size = len(wire.keys)
    optional = [column for column in (wire.revisions, wire.properties) if column is not None]
    if any(len(column) != size for column in (wire.subscription, wire.metric, wire.period, wire.quantities, *optional)):
        raise ValueError("columns differ in length")
    dictionaries = (
        (wire.subscription, wire.subscriptions),
        (wire.metric, wire.metrics),
        (wire.period, wire.periods),
    )
    for indexes, dictionary in dictionaries:
        if size and not (min(indexes) >= 0 and max(indexes) < len(dictionary)):
            raise IndexError("an index lies outside its dictionary")
    if wire.properties is not None:
        raise ValueError("left to the slow path")
    return CounterColumns(
        service=service,
        subscriptions=wire.subscriptions,
        metrics=wire.metrics,
        periods=[_interval(start, end) for start, end in wire.periods],
        subscription=wire.subscription,
        metric=wire.metric,
        period=wire.period,
        keys=wire.keys,
        quantities=_quantities(wire.quantities),
        revisions=wire.revisions,
    )


def _from_rows(service: str, rows: Sequence[_Row]) -> CounterColumns:
    if any(row.properties for row in rows):
        raise ValueError("left to the slow path")
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
        quantities=[_compact(parse_decimal(row.quantity)) for row in rows],
        revisions=[row.revision for row in rows],
    )


def _quantities(quantities: Sequence[int | str]) -> Sequence[int | Decimal]:
    """Return the quantities checked; whole numbers within 64 bits, the usual case, stay untouched."""
    try:
        if min(quantities) >= -_INT64 and max(quantities) < _INT64:  # type: ignore[operator]  # text raises
            return quantities  # type: ignore[return-value]
    except TypeError:
        pass
    return [_compact(parse_decimal(quantity)) for quantity in quantities]


def _check_keys(keys: Sequence[str]) -> None:
    joined = "".join(keys)
    # One look at all of them: printable ASCII of at most 255 characters is always fine.
    if not (min(map(len, keys)) and max(map(len, keys)) <= 255 and joined.isascii() and joined.isprintable()):  # noqa: PLR2004
        for key in keys:
            check_external_id(key)


def _check_revisions(revisions: Sequence[int] | None) -> None:
    if revisions is not None and not (min(revisions) >= 0 and max(revisions) <= REVISION_MAX):
        raise ValueError("a revision is out of range")


_code = lru_cache(maxsize=4096)(check_code)
_external_id = lru_cache(maxsize=262144)(check_external_id)


@lru_cache(maxsize=65536)
def _interval(start: str, end: str) -> tuple[int, int]:
    interval = to_micros(parse_instant(start)), to_micros(parse_instant(end))
    if interval[1] < interval[0]:
        raise ValueError("period_end must not lie before period_start")
    return interval


def _compact(number: Decimal) -> int | Decimal:
    """Return a whole number as int: what the store's columns take without a detour."""
    return int(number) if number == number.to_integral_value() else number


def _encode_quantity(quantity: Decimal) -> int | str:
    number = _compact(quantity)
    return number if isinstance(number, int) and -_INT64 <= number < _INT64 else format_decimal(quantity)


# --- the slow path: one verdict per counter ---------------------------------------------------------------------


def _decode_slowly(value: bytes) -> tuple[CounterColumns, list[RefusedCounter]]:
    document = _parse(value)
    version = document.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise Refused(Reason.UNKNOWN_SCHEMA, f"schema_version must be {SCHEMA_VERSION}", "schema_version")
    service = document.get("service")
    try:
        check_code(service if isinstance(service, str) else "")
    except ValueError as error:
        raise Refused(Reason.BAD_SERVICE, f"service {error}", "service") from None
    good: list[tuple[int, Counter]] = []
    refused: list[RefusedCounter] = []
    for index, row in enumerate(_rows(document)):
        try:
            good.append((index, Counter.model_validate(row)))
        except ValidationError as error:
            refused.append(_verdict(index, error))
    return _from_counters(str(service), good), refused


def _parse(value: bytes) -> dict[str, Any]:
    try:
        document = json.loads(
            value.decode(),
            parse_float=Decimal,
            # A number of thousands of digits is refused as one counter's quantity, not as a broken batch.
            parse_int=lambda digits: int(digits) if len(digits) < 64 else Decimal(digits),  # noqa: PLR2004
            parse_constant=_no_constant,
            object_pairs_hook=_no_duplicates,
        )
    except (ValueError, RecursionError) as error:
        raise Refused(Reason.MALFORMED_BATCH, f"not a JSON usage batch: {error}") from None
    if not isinstance(document, dict):
        raise Refused(Reason.MALFORMED_BATCH, "a usage batch is a JSON object")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a field occurs twice in one object")
    return document


def _rows(document: dict[str, Any]) -> Sequence[object]:
    rows, columns = document.get("counters"), document.get("columns")
    if (rows is None) == (columns is None):
        raise Refused(Reason.MALFORMED_BATCH, "a usage batch carries either counters or columns")
    if columns is not None:
        rows = _rows_of_columns(columns)
    if not isinstance(rows, list) or not 1 <= len(rows) <= COUNTERS_MAX:
        raise Refused(Reason.MALFORMED_BATCH, f"a usage batch carries 1 to {COUNTERS_MAX} counters")
    return rows


def _rows_of_columns(columns: object) -> list[dict[str, Any]]:
    if not isinstance(columns, dict):
        raise Refused(Reason.MALFORMED_BATCH, "columns must be an object", "columns")
    names = ("subscriptions", "metrics", "periods", "subscription", "metric", "period", "keys", "quantities")
    for name in names:
        if not isinstance(columns.get(name), list):
            raise Refused(Reason.MALFORMED_BATCH, f"columns.{name} must be a list", name)
    size = len(columns["keys"])
    optional = {name: columns.get(name) or None for name in ("revisions", "properties")}
    for name in ("subscription", "metric", "period", "quantities", *(n for n, column in optional.items() if column)):
        column = columns[name]
        if not isinstance(column, list) or len(column) != size:
            raise Refused(Reason.MALFORMED_BATCH, f"columns.{name} must have {size} entries, as keys has", name)
    return [_row_of_columns(columns, optional, index) for index in range(size)]


def _row_of_columns(columns: dict[str, Any], optional: dict[str, Any], index: int) -> dict[str, Any]:
    """Return one counter as an object; whatever cannot be resolved is left out and so refused by name."""
    period = _entry(columns["periods"], columns["period"][index])
    start, end = period if isinstance(period, list) and len(period) == 2 else (None, None)  # noqa: PLR2004
    row = {
        "subscription": _entry(columns["subscriptions"], columns["subscription"][index]),
        "metric": _entry(columns["metrics"], columns["metric"][index]),
        "period_start": start,
        "period_end": end,
        "idempotency_key": columns["keys"][index],
        "quantity": columns["quantities"][index],
        "revision": optional["revisions"][index] if optional["revisions"] else 0,
    }
    properties = optional["properties"][index] if optional["properties"] else None
    return row if properties is None else row | {"properties": properties}


def _entry(dictionary: list[Any], index: object) -> Any:
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(dictionary):
        return dictionary[index]
    return None


def _verdict(index: int, error: ValidationError) -> RefusedCounter:
    first = error.errors(include_url=False, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "period_end"
    message = first["msg"].removeprefix("Value error, ")
    return RefusedCounter(index, _REASONS.get(field, Reason.MALFORMED_BATCH), field, f"{field} {message}")


def _from_counters(service: str, good: Sequence[tuple[int, Counter]]) -> CounterColumns:
    subscriptions: dict[str, int] = {}
    metrics: dict[str, int] = {}
    periods: dict[tuple[int, int], int] = {}
    counters = [counter for _, counter in good]
    return CounterColumns(
        service=service,
        subscription=[subscriptions.setdefault(c.subscription, len(subscriptions)) for c in counters],
        metric=[metrics.setdefault(c.metric, len(metrics)) for c in counters],
        period=[
            periods.setdefault((to_micros(c.period_start), to_micros(c.period_end)), len(periods)) for c in counters
        ],
        subscriptions=list(subscriptions),
        metrics=list(metrics),
        periods=list(periods),
        keys=[c.idempotency_key for c in counters],
        quantities=[_compact(c.quantity) for c in counters],
        revisions=[c.revision for c in counters],
        properties=[c.properties or None for c in counters] if any(c.properties for c in counters) else None,
        indexes=[index for index, _ in good],
    )
