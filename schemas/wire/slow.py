"""The slow path: one verdict per counter. The good ones go on; of the bad ones it names index, field and reason."""

import collections
import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from pydantic import ValidationError

from schemas.errors import Reason, Refused
from schemas.identifiers import check_code
from schemas.usage import COUNTERS_MAX, SCHEMA_VERSION, Columns, Counter, UsageBatch
from schemas.wire.columns import CounterColumns, RefusedCounter, compact, to_micros

MESSAGE_CHARACTERS_MAX = 500

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


class _Repeating(dict[str, Any]):
    """A JSON object in which the fields `repeated` occur more than once."""

    repeated: frozenset[str]


def decode(value: bytes) -> tuple[CounterColumns, list[RefusedCounter]]:
    """Return the good counters and a verdict on each of the others.

    Raises:
        Refused: nothing of the record can be used.
    """
    document = _parse(value)
    version = document.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version != SCHEMA_VERSION:
        raise Refused(Reason.UNKNOWN_SCHEMA, f"schema_version must be {SCHEMA_VERSION}", "schema_version")
    service = document.get("service")
    try:
        check_code(service if isinstance(service, str) else "")
    except ValueError as error:
        raise Refused(Reason.BAD_SERVICE, f"service {error}", "service") from None
    good: list[tuple[int, Counter]] = []
    refused: list[RefusedCounter] = []
    for index, row in enumerate(_rows(document)):
        verdict = _judge(index, row)
        if isinstance(verdict, Counter):
            good.append((index, verdict))
        else:
            refused.append(verdict)
    return _from_counters(str(service), good), refused


# --- the document -------------------------------------------------------------------------------------------------


def _parse(value: bytes) -> dict[str, Any]:
    try:
        document = json.loads(
            value.decode(),
            parse_float=_number,
            # A number of thousands of digits is refused as one counter's quantity, not as a broken batch.
            parse_int=lambda digits: int(digits) if len(digits) < 64 else Decimal(digits),  # noqa: PLR2004
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        raise Refused(Reason.MALFORMED_BATCH, f"not a JSON usage batch: {error}") from None
    if not isinstance(document, dict):
        raise Refused(Reason.MALFORMED_BATCH, "a usage batch is a JSON object")
    _refuse_repeated(document, UsageBatch.model_fields)
    return document


def _number(digits: str) -> Decimal:
    """Return a number exactly; one whose exponent no decimal can hold as NaN, which every field refuses."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return Decimal("NaN")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    occurrences = collections.Counter(name for name, _ in pairs)
    repeating = _Repeating(document)
    repeating.repeated = frozenset(name for name, times in occurrences.items() if times > 1)
    return repeating


def _repeated(document: object, fields: Any) -> str | None:
    """Return a field that occurs twice and that somebody reads; which value was meant, nobody knows."""
    found = [name for name in fields if name in document.repeated] if isinstance(document, _Repeating) else []
    return found[0] if found else None


def _refuse_repeated(document: object, fields: Any) -> None:
    name = _repeated(document, fields)
    if name is not None:
        raise Refused(Reason.MALFORMED_BATCH, f"{name} occurs twice", name)


# --- its counters, as rows ----------------------------------------------------------------------------------------


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
    _refuse_repeated(columns, Columns.model_fields)
    for name, field in Columns.model_fields.items():
        column = columns.get(name)
        if not isinstance(column, list) and (field.is_required() or column is not None):
            raise Refused(Reason.MALFORMED_BATCH, f"columns.{name} must be a list", name)
    size = len(columns["keys"])
    for name in ("subscription", "metric", "period", "quantities", "revisions", "properties"):
        column = columns.get(name)
        if column is not None and len(column) != size:
            raise Refused(Reason.MALFORMED_BATCH, f"columns.{name} must have {size} entries, as keys has", name)
    if size > COUNTERS_MAX:
        raise Refused(Reason.MALFORMED_BATCH, f"a usage batch carries 1 to {COUNTERS_MAX} counters")
    return [_row_of_columns(columns, index) for index in range(size)]


def _row_of_columns(columns: dict[str, Any], index: int) -> dict[str, Any]:
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
    }
    if columns.get("revisions") is not None:
        row["revision"] = columns["revisions"][index]
    properties = columns["properties"][index] if columns.get("properties") is not None else None
    return row if properties is None else row | {"properties": properties}


def _entry(dictionary: list[Any], index: object) -> Any:
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(dictionary):
        return dictionary[index]
    return None


# --- the verdicts -------------------------------------------------------------------------------------------------


def _judge(index: int, row: object) -> Counter | RefusedCounter:
    if not isinstance(row, dict):
        return RefusedCounter(index, Reason.MALFORMED_BATCH, None, "a counter must be an object")
    repeated = _repeated(row, _REASONS)
    if repeated is not None:
        return RefusedCounter(index, _REASONS[repeated], repeated, f"{repeated} occurs twice")
    if isinstance(row.get("properties"), _Repeating):
        return RefusedCounter(index, Reason.BAD_PROPERTIES, "properties", "properties has an entry twice")
    try:
        return Counter.model_validate(row)
    except ValidationError as error:
        return _verdict(index, error)


def _verdict(index: int, error: ValidationError) -> RefusedCounter:
    first = error.errors(include_url=False, include_input=False)[0]
    # Only the check of the two ends against each other names no field.
    field = str(first["loc"][0]) if first["loc"] else "period_end"
    message = first["msg"].removeprefix("Value error, ").removeprefix(f"{field} ")
    return RefusedCounter(index, _REASONS[field], field, f"{field} {message}"[:MESSAGE_CHARACTERS_MAX])


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
        quantities=[compact(c.quantity) for c in counters],
        revisions=[c.revision for c in counters],
        properties=[c.properties or None for c in counters] if any(c.properties for c in counters) else None,
        indexes=[index for index, _ in good],
    )
