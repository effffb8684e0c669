"""Values of counters as JSON. Pure."""

from datetime import UTC, datetime
from typing import Any

from schemas.money import format_decimal
from schemas.periods import format_instant
from streams.operations.trace import Value


def value_document(value: Value) -> dict[str, Any]:
    """Return one value of a counter and what became of it."""
    counter = value.counter
    document: dict[str, Any] = {
        "key": value.name[3],
        "place": value.place,
        "partition": value.partition,
        "offset": value.offset,
        "time": format_instant(datetime.fromtimestamp(value.time_ms / 1000, UTC)),
        "fate": value.fate.value,
        "by": value.by,
    }
    if counter is None:
        return document
    part = {} if value.part is None else {"part": format_decimal(value.part)}
    return document | {
        "quantity": format_decimal(counter.quantity),
        **part,
        "period_start": format_instant(counter.period_start),
        "revision": counter.revision,
    }
