"""Checks of names, keys, numbers and periods, each of many values at once where that is cheaper.

Each may be stricter than the contract and none is laxer: what they refuse, the slow path judges.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

from msgspec import UNSET, UnsetType

from schemas.identifiers import check_code, check_external_id
from schemas.money import parse_decimal
from schemas.periods import parse_instant
from schemas.usage import PROPERTIES_MAX, REVISION_MAX, SCHEMA_VERSION
from schemas.wire.columns import compact, to_micros

Properties = dict[str, str | int | bool | None]
TOP_NAMES = ("schema_version", "service", "counters", "columns")
"""The fields of a usage batch itself."""

_INT64 = 2**63
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

code = lru_cache(maxsize=4096)(check_code)


def top(service: str, version: int | UnsetType) -> None:
    """Raise unless a batch is of our schema and its service has a name."""
    if version not in (SCHEMA_VERSION, UNSET):
        raise ValueError("another schema version")
    code(service)


def check_indexes(indexes: Sequence[int], dictionary: Sequence[object]) -> None:
    """Raise unless every index has its entry."""
    if indexes and not (min(indexes) >= 0 and max(indexes) < len(dictionary)):
        raise IndexError("an index lies outside its dictionary")


def check_ids(ids: Sequence[str]) -> None:
    """Raise unless all are external ids: idempotency keys or subscriptions."""
    joined = "".join(ids)
    # One look at all of them: printable ASCII of at most 255 characters is always fine.
    if not (min(map(len, ids)) and max(map(len, ids)) <= 255 and joined.isascii() and joined.isprintable()):  # noqa: PLR2004
        for each in ids:
            check_external_id(each)


def check_revisions(revisions: Sequence[int] | None) -> None:
    """Raise unless all are in range."""
    if revisions is not None and not (min(revisions) >= 0 and max(revisions) <= REVISION_MAX):
        raise ValueError("a revision is out of range")


def properties(wire: list[Properties | None] | UnsetType | None, size: int) -> list[Properties | None] | None:
    """Return one entry per counter, null where it is empty; null for all if none has any."""
    if not isinstance(wire, list):
        return None
    if len(wire) != size or any(each and len(each) > PROPERTIES_MAX for each in wire):
        raise ValueError("too few or too many properties")
    return [each or None for each in wire] if any(wire) else None


def quantities(quantities: Sequence[int | str]) -> Sequence[int | Decimal]:
    """Return the quantities checked; whole numbers within 64 bits, the usual case, stay untouched."""
    try:
        if min(quantities) >= -_INT64 and max(quantities) < _INT64:  # type: ignore[operator]  # text raises
            return quantities  # type: ignore[return-value]
    except TypeError:
        pass
    return [compact(parse_decimal(quantity)) for quantity in quantities]


def row_quantity(raw: str) -> int | Decimal:
    """Return a quantity from its JSON text, a number or a string without escapes."""
    if raw.startswith('"'):
        return compact(parse_decimal(raw[1:-1]))
    if not _JSON_NUMBER.fullmatch(raw):
        raise ValueError("not a number")
    return compact(parse_decimal(raw))


@lru_cache(maxsize=65536)
def interval(start: str, end: str) -> tuple[int, int]:
    """Return a period's start and end in microseconds since 1970 UTC."""
    found = to_micros(parse_instant(start)), to_micros(parse_instant(end))
    if found[1] < found[0]:
        raise ValueError("period_end must not lie before period_start")
    return found
