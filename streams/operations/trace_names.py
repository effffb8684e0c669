"""The names that a usage batch gives its counters, read from whatever there is of it. Pure."""

import json
from collections.abc import Iterator
from typing import Any

Name = tuple[str, str, str, str]
"""A counter: service, subscription, metric, idempotency key; empty where a refused one does not say."""


def names_in(raw: bytes) -> list[Name]:
    """Return the names that a batch gives its counters, as far as they can be read, well-formed or not."""
    try:
        batch = json.loads(raw)
        service, rows, columns = batch.get("service"), batch.get("counters"), batch.get("columns")
        if isinstance(rows, list):
            return [_name(service, row) for row in rows]
        return list(_names_in_columns(service, columns)) if isinstance(columns, dict) else []
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
        return []


def _name(service: object, row: Any) -> Name:
    fields = row if isinstance(row, dict) else {}
    subscription, metric, key = (_text(fields.get(field)) for field in ("subscription", "metric", "idempotency_key"))
    return _text(service), subscription, metric, key


def _names_in_columns(service: object, columns: dict[str, Any]) -> Iterator[Name]:
    keys, subscription, metric = columns["keys"], columns["subscription"], columns["metric"]
    for at, key in enumerate(keys):
        name = _at(columns["subscriptions"], subscription, at)
        yield _text(service), name, _at(columns["metrics"], metric, at), _text(key)


def _at(dictionary: Any, numbers: Any, at: int) -> str:
    try:
        return _text(dictionary[numbers[at]])
    except (IndexError, TypeError):
        return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
