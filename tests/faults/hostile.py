"""Hostile usage records: damaged examples, attacks by name, and how many counters each record has by plain reading."""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from deploy.local.settings import REPOSITORY

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_EXAMPLES = "schemas/examples/usage_batch/1"
# What the broker takes, less what a record needs around its value.
RECORD_BYTES_MAX = 1_048_000


@cache
def examples() -> list[bytes]:
    """All golden usage batches, the good ones and those that must be refused."""
    return [path.read_bytes() for path in sorted((REPOSITORY / _EXAMPLES).rglob("*.json"))]


def damaged(chance: random.Random) -> bytes:
    """One of the examples, damaged in one to four places, in its structure or its bytes."""
    value = chance.choice(examples())
    for _ in range(chance.randint(1, 4)):
        value = chance.choice(_DAMAGES)(value, chance)
    return value[:RECORD_BYTES_MAX]


def counters_in(value: bytes) -> int | None:
    """How many counters a batch has; null where there is no batch to be seen."""
    try:
        batch = json.loads(value, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(batch, dict):
        return None
    rows, columns = batch.get("counters"), batch.get("columns")
    if isinstance(rows, list) and columns is None:
        return len(rows)
    if rows is None and isinstance(columns, dict) and isinstance(columns.get("keys"), list):
        return len(columns["keys"])
    return None


def attacks() -> dict[str, tuple[bytes, tuple[int, int | None]]]:
    """By name: the record, and how many of its counters count and are refused; null: it is refused whole."""
    many = [_row(idempotency_key=f"k{number}") for number in range(6_000)]
    names = [f"m{number:x}" for number in range(100_000)]
    return {
        "one MiB": (_batch(*many)[:-1] + b" " * (RECORD_BYTES_MAX - len(_batch(*many))) + b"}", (6_000, 0)),
        "more than a MiB of nonsense, cut": (b'{"service":"nexamaps","counters":[' + b"[" * 900_000, (0, None)),
        "nested lists": (_with(b"[" * 50_000 + b"]" * 50_000), (0, None)),
        "nested objects": (_with(b'{"a":' * 20_000 + b"1" + b"}" * 20_000), (0, None)),
        "nested a little": (_with(b"[" * 50 + b"]" * 50), (0, 1)),
        "NaN": (_with(b"NaN"), (0, None)),
        "Infinity": (_with(b"-Infinity"), (0, None)),
        "NaN in quotes": (_with(b'"NaN"'), (0, 1)),
        "1e400": (_with(b"1e400"), (0, 1)),
        "1e-400": (_with(b"1e-400"), (0, 1)),
        "10^4000": (_with(b"1" + b"0" * 4000), (0, 1)),
        "10^200000": (_with(b"1" + b"0" * 200_000), (0, 1)),
        "thirty digits": (_with(b"9" * 30), (1, 0)),
        "year 1": (_batch(_row(period_start="0001-01-01T00:00:00Z")), (0, 1)),
        "year 1, east": (_batch(_row(period_start="0001-01-01T00:00:00+14:00")), (0, 1)),
        "year 9999": (_batch(_row(period_start="9999-12-31T23:59:59Z", period_end="9999-12-31T23:59:59Z")), (0, 1)),
        "lone surrogate": (_batch(_row(idempotency_key="\ud800")), (0, 1)),
        "surrogate bytes": (_with(b'"\xed\xa0\x80"'), (0, None)),
        "empty strings": (_batch(_row(subscription="", metric="", idempotency_key="", quantity="")), (0, 1)),
        "empty value": (b"", (0, None)),
        "empty batch": (_batch(), (0, None)),
        "100 000 metrics": (_columns(2, metrics=names, metric=[0, 99_999]), (2, 0)),
        "10 001 counters": (_columns(10_001), (0, None)),
        "10 000 counters": (_columns(10_000), (10_000, 0)),
        "a field twice": (_batch(_row()).replace(b'"metric"', b'"metric": "x", "metric"'), (0, 1)),
        "byte order mark": (b"\xef\xbb\xbf" + _batch(_row()), (0, None)),
        "UTF-16": (_batch(_row()).decode().encode("utf-16"), (0, None)),
        "gzip": (gzip.compress(_batch(_row()), mtime=0), (0, None)),
        "a column cut off": (_columns(3, keys=["k1", "k2"]), (0, None)),
        "an index before the first": (_columns(2, subscription=[0, -1]), (1, 1)),
        "an index beyond the last": (_columns(2, metric=[0, 2**63]), (1, 1)),
        "a good one between bad ones": (
            _batch(_row(quantity=None), _row(idempotency_key="good"), _row(metric=3)),
            (1, 2),
        ),
    }


def _row(**fields: Any) -> dict[str, Any]:
    row = {
        "subscription": "hostile",
        "metric": "calls",
        "quantity": 1,
        "period_start": "2026-07-01T00:00:00Z",
        "period_end": "2026-07-01T01:00:00Z",
        "idempotency_key": "k",
    }
    return row | fields


def _batch(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"service": "nexamaps", "counters": rows}).encode()


def _with(quantity: bytes) -> bytes:
    """A batch of one counter with these bytes as its quantity."""
    return _batch(_row(quantity="?")).replace(b'"?"', quantity)


def _columns(size: int, **fields: Any) -> bytes:
    columns = {
        "subscriptions": ["hostile"],
        "metrics": ["calls"],
        "periods": [["2026-07-01T00:00:00Z", "2026-07-01T01:00:00Z"]],
        "subscription": [0] * size,
        "metric": [0] * size,
        "period": [0] * size,
        "keys": [f"c{number}" for number in range(size)],
        "quantities": [1] * size,
    }
    return json.dumps({"service": "nexamaps", "columns": columns | fields}).encode()


# --- damages ----------------------------------------------------------------------------------------------------

_TOKENS = [
    b"NaN", b"Infinity", b"1e400", b"-1e400", b"1E-30", b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59Z", b'"\\ud800"',
    b'""', b"null", b"true", b"[]", b"{}", b"-1", b"9" * 40, b"\x00", b"\xff", b"\xef\xbb\xbf", b"[" * 2000,
    b'{"a":' * 500,
]  # fmt: skip
_VALUES: list[Any] = [
    None, True, False, 0, -1, 2**31, 2**63, 2**64, 10**40, 0.1, 1e308, float("nan"), float("inf"), "", "\ud800", "\x00",
    "\u202e", "a" * 300, "é" * 200, "NaN", "1e400", "-0", "1_0", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "2026-02-30T00:00:00Z", "2026-07-01T00:00:00", [], {}, [[]], {"": ""}, {"a": {"b": [1]}}, ["a"] * 40,
]  # fmt: skip


def _flip(value: bytes, chance: random.Random) -> bytes:
    raw = bytearray(value or b" ")
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return bytes(raw)


def _put(value: bytes, chance: random.Random) -> bytes:
    start = chance.randint(0, len(value))
    end = min(len(value), start + chance.choice([0, 0, 1, 5, 30]))
    return value[:start] + chance.choice(_TOKENS) + value[end:]


def _cut(value: bytes, chance: random.Random) -> bytes:
    start = chance.randint(0, len(value))
    return value[:start] + value[start + chance.choice([1, 3, 20, len(value)]) :]


def _splice(value: bytes, chance: random.Random) -> bytes:
    other = chance.choice(examples())
    return value[: chance.randint(0, len(value))] + other[chance.randint(0, len(other)) :]


def _restructure(value: bytes, chance: random.Random) -> bytes:
    """Put something else into a random place of the document, take it away, or have it twice."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return _flip(value, chance)
    places = _places(document, 0)
    if not places:
        return value
    holder, name = chance.choice(places)
    action = chance.random()
    if action < 0.7:
        holder[name] = chance.choice(_VALUES)
    elif action < 0.85:
        del holder[name]
    elif isinstance(holder, list):
        holder.append(holder[name])
    return json.dumps(document).encode()


def _places(node: Any, depth: int) -> list[tuple[Any, Any]]:
    """All (holder, name) of a document, not too deep."""
    if depth > 20 or not isinstance(node, dict | list):
        return []
    names = list(node) if isinstance(node, dict) else list(range(len(node)))
    found = [(node, name) for name in names]
    for name in names:
        found += _places(node[name], depth + 1)
    return found


_DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [_flip, _put, _cut, _splice, *[_restructure] * 4]
