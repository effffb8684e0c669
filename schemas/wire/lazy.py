"""Batches decoded only as far as they must be looked at one by one, for a reader of many: the meter.

Of columns the dictionaries are read and checked, the long columns stay JSON text for a compiled reader. Of counters as
objects, those of a whole run of records are checked together. As on the fast path, raising costs time, never counters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from schemas.usage import COUNTERS_MAX
from schemas.wire import checks
from schemas.wire.checks import Properties
from schemas.wire.repeats import check_names, holds_only


class LazyRow(msgspec.Struct, gc=False):
    """A counter as an object."""

    subscription: str
    metric: str
    quantity: int | str
    period_start: str
    period_end: str
    idempotency_key: str
    revision: int | UnsetType = UNSET
    properties: Properties | UnsetType = UNSET


class LazyColumns(msgspec.Struct, gc=False):
    """Counters as columns; what is raw is valid JSON and nothing more."""

    subscriptions: list[str]
    metrics: list[str]
    periods: list[tuple[str, str]]
    subscription: Raw
    metric: Raw
    period: Raw
    keys: Raw
    quantities: Raw
    revisions: Raw | UnsetType = UNSET
    properties: list[Properties | None] | UnsetType | None = UNSET


class LazyBatch(msgspec.Struct, gc=False):
    """A usage batch of either form."""

    service: str
    schema_version: int | UnsetType = UNSET
    counters: list[LazyRow] | UnsetType = UNSET
    columns: LazyColumns | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Rows:
    """Counters of a run of records, one list per field; `services` and `sizes` have an entry for each record.

    All is checked but the periods, which stay text: few of them are different.
    """

    services: list[str]
    sizes: list[int]
    subscriptions: list[str]
    metrics: list[str]
    quantities: Sequence[int | Decimal]
    periods: list[tuple[str, str]]
    keys: list[str]
    revisions: list[int]
    properties: list[Properties | None] | None


read = msgspec.json.Decoder(LazyBatch).decode
"""Decode a value by its types; raises msgspec.DecodeError, or ValueError for what is no UTF-8."""


def check_columns(batch: LazyBatch, columns: LazyColumns) -> None:
    """Check everything about a batch in columns that is not raw, but for the subscriptions."""
    checks.top(batch.service, batch.schema_version)
    if batch.counters is not UNSET:
        raise ValueError("both forms")
    for metric in columns.metrics:
        checks.code(metric)


def check_strings(value: bytes, batch: LazyBatch, columns: LazyColumns, size: int) -> None:
    """Raise if a field may occur twice, given that the raw columns hold `size` plain keys and no other text."""
    optional = (batch.schema_version, columns.revisions, columns.properties)
    names = 2 + 8 + sum(field is not UNSET for field in optional)
    dictionaries = len(columns.subscriptions) + len(columns.metrics) + 2 * len(columns.periods)
    strings = names + 1 + dictionaries + size + _texts(columns.properties or ())
    if not holds_only(value, strings):
        if columns.properties:
            raise ValueError("names of properties may occur twice")
        check_names(value, dict.fromkeys((*checks.TOP_NAMES, *LazyColumns.__struct_fields__)))


def rows_of(values: Sequence[bytes], batches: Sequence[LazyBatch]) -> Rows:
    """Return the counters of a run of batches of objects, checked together."""
    versions = [batch.schema_version for batch in batches]
    services = [batch.service for batch in batches]
    for service, version in set(zip(services, versions, strict=True)):
        checks.top(service, version)
    counters = [batch.counters for batch in batches if batch.counters is not UNSET and batch.columns is UNSET]
    if len(counters) != len(batches):
        raise ValueError("neither form, or both")
    rows = [row for each in counters for row in each]
    sizes = list(map(len, counters))
    if not (min(sizes) >= 1 and max(sizes) <= COUNTERS_MAX):
        raise ValueError("too few or too many counters")
    revisions = [row.revision for row in rows]
    properties = [row.properties for row in rows]
    quantities = [row.quantity for row in rows]
    found = Rows(
        services=services,
        sizes=sizes,
        subscriptions=[row.subscription for row in rows],
        metrics=[row.metric for row in rows],
        quantities=checks.quantities(quantities),
        periods=[(row.period_start, row.period_end) for row in rows],
        keys=[row.idempotency_key for row in rows],
        revisions=[0 if revision is UNSET else revision for revision in revisions],
        properties=checks.properties([each or None for each in properties], len(rows)),
    )
    joined = b"".join(values)
    if not joined.isascii():
        joined.decode()  # Values end where a character ends, as they are JSON objects: all are UTF-8, or one is not.
    optional = [*versions, *revisions, *properties]
    names = 2 * len(batches) + 6 * len(rows) + len(optional) - optional.count(UNSET)
    texts = len(batches) + 5 * len(rows) + list(map(type, quantities)).count(str) + _texts(found.properties or ())
    if not holds_only(joined, names + texts):
        raise ValueError("a field may occur twice, or there are others")
    checks.check_ids(found.subscriptions)
    checks.check_ids(found.keys)
    checks.check_revisions(found.revisions)
    for metric in set(found.metrics):
        checks.code(metric)
    return found


def _texts(properties: Sequence[Properties | None]) -> int:
    """Return how many strings there are in properties, names included."""
    return sum(len(each) + list(map(type, each.values())).count(str) for each in properties if each)
