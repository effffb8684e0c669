"""From an app's fields to a checked `Counter`, with errors that name the field and the remedy."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from producers.sdk.errors import InvalidCounter
from schemas.money import format_decimal
from schemas.usage import Counter

# Braces, commas, column indexes and the largest quantity (30 + 18 digits) of one counter in columns form.
_FIXED_BYTES = 100
# Two RFC 3339 instants with microseconds, quoted.
_PERIOD_BYTES = 64
_SHOWN_CHARACTERS = 60


def checked_counter(fields: Mapping[str, Any]) -> Counter:
    """Return the counter of `fields` (the names of `Counter`; others are ignored).

    Raises:
        InvalidCounter: names the first wrong field, what is wrong with it and what would be right.
    """
    try:
        return Counter.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "period_end"  # the one rule over two fields is about the end
    if first["type"] == "missing":
        raise InvalidCounter(field, "is required")
    problem = first["msg"].removeprefix("Value error, ").removeprefix(f"{field} ")
    raise InvalidCounter(field, f"{problem} (got {_shown(fields.get(field))})")


def size_bytes_max(counter: Counter) -> int:
    """Return a bound on what the counter adds to an encoded usage batch."""
    texts = (counter.subscription, counter.metric, counter.idempotency_key)
    size = _FIXED_BYTES + _PERIOD_BYTES + sum(2 * len(text.encode()) for text in texts)  # quotes may be escaped
    return size + len(json.dumps(counter.properties, default=format_decimal)) if counter.properties else size


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
