"""The fast path: takes a batch in which everything is well, and raises for anything that deserves a closer look.

Raising costs time, never counters: the slow path then decides. So each check here may be stricter than the contract,
and none may be laxer.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from schemas.usage import COUNTERS_MAX
from schemas.wire import checks
from schemas.wire.checks import Properties
from schemas.wire.columns import CounterColumns
from schemas.wire.repeats import check_names, holds_only


class _Row(msgspec.Struct, gc=False):
    subscription: str
    metric: str
    quantity: msgspec.Raw
    period_start: str
    period_end: str
    idempotency_key: str
    revision: int | UnsetType = UNSET
    properties: Properties | UnsetType = UNSET


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
    properties: list[Properties | None] | UnsetType | None = UNSET


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
    checks.top(batch.service, batch.schema_version)
    if not value.isascii():
        value.decode()  # The decoder looks into no string that it skips.
    if batch.columns is not UNSET and batch.counters is UNSET:
        columns = _from_columns(value, batch, batch.columns)
    elif batch.counters is not UNSET and batch.columns is UNSET:
        columns = _from_rows(value, batch.service, batch.counters)
    else:
        raise ValueError("neither form, or both")
    if not 1 <= len(columns) <= COUNTERS_MAX:
        raise ValueError("too few or too many counters")
    checks.check_ids(columns.subscriptions)
    for metric in columns.metrics:
        checks.code(metric)
    checks.check_ids(columns.keys)
    checks.check_revisions(columns.revisions)
    return columns


def _from_columns(value: bytes, batch: _Batch, wire: _Columns) -> CounterColumns:
    size = len(wire.keys)
    if any(len(column) != size for column in (wire.subscription, wire.metric, wire.period, wire.quantities)):
        raise ValueError("columns differ in length")
    if wire.revisions is not UNSET and len(wire.revisions) != size:
        raise ValueError("columns differ in length")
    checks.check_indexes(wire.subscription, wire.subscriptions)
    checks.check_indexes(wire.metric, wire.metrics)
    checks.check_indexes(wire.period, wire.periods)
    quantities, properties = checks.quantities(wire.quantities), checks.properties(wire.properties, size)
    texts = 0 if quantities is wire.quantities else list(map(type, wire.quantities)).count(str)
    if not holds_only(value, _strings(batch, wire) + texts):
        if properties is not None:
            raise ValueError("names of properties may occur twice")
        check_names(value, dict.fromkeys((*checks.TOP_NAMES, *_Columns.__struct_fields__)))
    return CounterColumns(
        service=batch.service,
        subscriptions=wire.subscriptions,
        metrics=wire.metrics,
        periods=[checks.interval(start, end) for start, end in wire.periods],
        subscription=wire.subscription,
        metric=wire.metric,
        period=wire.period,
        keys=wire.keys,
        quantities=quantities,
        revisions=None if wire.revisions is UNSET else wire.revisions,
        properties=properties,
    )


def _from_rows(value: bytes, service: str, rows: Sequence[_Row]) -> CounterColumns:
    counts: dict[str, int | None] = dict.fromkeys(checks.TOP_NAMES)
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
        periods=[checks.interval(start, end) for start, end in periods],
        keys=[row.idempotency_key for row in rows],
        quantities=[checks.row_quantity(bytes(row.quantity).decode()) for row in rows],
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
