"""A usage batch as plain JSON, for the slow path: read exactly, and its counters as objects, whichever its form."""

import collections
import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from schemas.errors import Reason, Refused
from schemas.usage import COUNTERS_MAX, Columns, UsageBatch


class Repeating(dict[str, Any]):
    """A JSON object in which the fields `repeated` occur more than once."""

    repeated: frozenset[str]


def parse(value: bytes) -> dict[str, Any]:
    """Return a batch with its numbers exact; what says a field twice, further in, is `Repeating`.

    Raises:
        Refused: it is no JSON object, or a field of the batch itself occurs twice.
    """
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


def rows_of(document: dict[str, Any]) -> Sequence[object]:
    """Return the counters of a batch as objects that nobody has looked into yet.

    Raises:
        Refused: they are in neither form, in both, too few or too many, or the columns do not fit together.
    """
    rows, columns = document.get("counters"), document.get("columns")
    if (rows is None) == (columns is None):
        raise Refused(Reason.MALFORMED_BATCH, "a usage batch carries either counters or columns")
    if columns is not None:
        rows = _rows_of_columns(columns)
    if not isinstance(rows, list) or not 1 <= len(rows) <= COUNTERS_MAX:
        raise Refused(Reason.MALFORMED_BATCH, f"a usage batch carries 1 to {COUNTERS_MAX} counters")
    return rows


def repeated_in(document: object, fields: Any) -> str | None:
    """Return a field that occurs twice and that somebody reads; which value was meant, nobody knows."""
    found = [name for name in fields if name in document.repeated] if isinstance(document, Repeating) else []
    return found[0] if found else None


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
    repeating = Repeating(document)
    repeating.repeated = frozenset(name for name, times in occurrences.items() if times > 1)
    return repeating


def _refuse_repeated(document: object, fields: Any) -> None:
    name = repeated_in(document, fields)
    if name is not None:
        raise Refused(Reason.MALFORMED_BATCH, f"{name} occurs twice", name)


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
