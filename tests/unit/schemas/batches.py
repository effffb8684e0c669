"""Usage batches as JSON documents: good ones, mutated ones, and the comparison of the two ways to read them."""

import copy
import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.errors import Refused
from schemas.usage import Counter
from schemas.wire import fast, slow, to_counters
from tests.unit.schemas import strategies

START, END = "2026-07-01T00:00:00Z", "2026-07-01T01:00:00Z"

Document = dict[str, Any]


def row(**changes: Any) -> Document:
    """Return a good counter; a field that is changed to ... is left out."""
    fields: Document = {
        "subscription": "sub-1",
        "metric": "api_calls",
        "quantity": 1250,
        "period_start": START,
        "period_end": END,
        "idempotency_key": "k-1",
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def batch(*rows: object, **top: Any) -> Document:
    """Return a batch of objects."""
    return {"service": "nexamaps", "counters": list(rows), **top}


def columns(**changes: Any) -> Document:
    """Return a good batch of columns with two counters; a column that is changed to ... is left out."""
    fields: Document = {
        "subscriptions": ["sub-1", "sub-2"],
        "metrics": ["api_calls"],
        "periods": [[START, END]],
        "subscription": [0, 1],
        "metric": [0, 0],
        "period": [0, 0],
        "keys": ["k-1", "k-2"],
        "quantities": [1250, "0.5"],
    }
    kept = {name: value for name, value in (fields | changes).items() if value is not ...}
    return {"schema_version": 1, "service": "nexamaps", "columns": kept}


def as_bytes(document: object, *, ascii_only: bool = True) -> bytes:
    """Return the document as any client might write it."""
    return json.dumps(document, ensure_ascii=ascii_only).encode(errors="surrogatepass")


def read_fast(value: bytes) -> tuple[str, list[Counter]] | None:
    """Return the service and counters of the fast path, null if it leaves the batch to the slow one."""
    try:
        decoded = fast.decode(value)
    except (msgspec.DecodeError, ValueError, IndexError, RecursionError):
        return None
    return decoded.service, to_counters(decoded)


def read_slowly(value: bytes) -> tuple[str, list[Counter], int] | None:
    """Return the service, the good counters and the number of refused ones; null if the batch is refused."""
    try:
        decoded, refused = slow.decode(value)
    except Refused:
        return None
    return decoded.service, to_counters(decoded), len(refused)


_oddities: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.sampled_from([10**30, -(2**63), 2**63, 2**31, 1.5, 1e300, 1.0, 0.1, -0.0]),
    st.sampled_from(
        ["", " 1", "1_0", "\u0661", "+5", "05", ".5", "5.", "1e3", "NaN", "-Infinity", "0x10", "1" * 40, "é" * 150]
    ),
    st.sampled_from([START, END, "2026-07-01 00:00:00z", "2026-07-01T00:00Z", "2026-W27-3T00:00:00Z", "2026-07-01"]),
    st.sampled_from(["a\nb", "tab\t", "\x7f", "\x00", "\x85", "A", "a" * 64, "a" * 65, "s" * 256, "\ud800"]),
    st.sampled_from(["keys", "columns", "quantity", "subscription", "service", "a\\b", 'a":"b']),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-2, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
)
_names = st.sampled_from([*row(), *columns()["columns"], "revision", "revisions", "properties", "unknown", "columns"])


_extras: list[Document] = [{}, {"schema_version": 1}, {"sent_by": {"keys": [1, "x"]}}]


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a document."""
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [(node, key) for key in keys] + [place for key in keys for place in _places(node[key])]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Return a good batch in either form, of generated counters."""
    generated = draw(st.lists(strategies.counters(), min_size=1, max_size=3))
    rows = [json.loads(counter.model_dump_json()) for counter in generated]
    for fields in rows:
        for name in draw(st.sets(st.sampled_from(["revision", "properties"]))):
            fields.pop(name)
    if draw(st.booleans()):
        return batch(*rows) | draw(st.sampled_from(_extras))
    optional = {}
    if draw(st.booleans()):
        optional["revisions"] = [fields.get("revision", 0) for fields in rows]
    if draw(st.booleans()):
        optional["properties"] = [fields.get("properties") for fields in rows]
    return columns(
        subscriptions=[fields["subscription"] for fields in rows],
        metrics=[fields["metric"] for fields in rows],
        periods=[[fields["period_start"], fields["period_end"]] for fields in rows],
        subscription=list(range(len(rows))),
        metric=list(range(len(rows))),
        period=list(range(len(rows))),
        keys=[fields["idempotency_key"] for fields in rows],
        quantities=[fields["quantity"] for fields in rows],
        **optional,
    )


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a batch with up to three faults, or oddities that may be none, as bytes."""
    # Copies: a strategy's own values must not change from one example to the next.
    document = copy.deepcopy(draw(st.one_of(documents(), st.builds(lambda: batch(row())), st.builds(columns))))
    for _ in range(draw(st.integers(0, 3))):
        places = _places(document)
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del container[key]
        elif action == "replace":
            container[key] = copy.deepcopy(draw(_oddities))
        elif isinstance(container, dict):
            container[draw(_names)] = copy.deepcopy(draw(_oddities))
        else:
            container.append(copy.deepcopy(draw(_oddities)))
    value = as_bytes(document, ascii_only=draw(st.booleans()))
    if draw(st.integers(0, 4)) == 0:
        value = _repeat_a_field(value, draw(_names), draw(st.sampled_from([b"1", b'"x"', b"[]", b"null", b"1.5"])))
    return value


def _repeat_a_field(value: bytes, name: str, content: bytes) -> bytes:
    """Write a field once more before each place where it stands, sometimes under an escaped name."""
    token = b'"%b":' % name.encode()
    escaped = b'"\\u%04x%b":' % (ord(name[0]), name[1:].encode())
    return value.replace(token, escaped + content + b"," + token)
