"""The fast path never takes what the slow one would not, and never differently; fuzzed with faults and oddities."""

import pytest
from hypothesis import example, given, settings

from schemas.usage import Counter
from schemas.wire import encode_batch
from tests.unit.schemas import strategies
from tests.unit.schemas.batches import as_bytes, batch, columns, documents, mutated, read_fast, read_slowly, row


@settings(max_examples=600, deadline=None)
@given(mutated())
@example(as_bytes(batch(row(quantity=...))).replace(b'"metric"', b'"quantity": 1, "quantity": 2, "metric"'))
@example(as_bytes(batch(row(quantity="1_0"))).replace(b"_", b"\\u005f"))
@example(as_bytes(batch(row(), note="?")).replace(b"?", b"\xff"))
@example(as_bytes(columns(keys=["k-1", "columns"])))
@example(as_bytes(columns(properties=[{"a": 1}, None])).replace(b'"a"', b'"a": 2, "a"'))
@example(as_bytes(columns(properties=[{"a": "b"}, {}]) | {"note": "?"}))
@example(as_bytes(columns(properties=[{str(number): 1 for number in range(33)}, None])))
@example(as_bytes(columns(properties=[{"a": 2**64}, {"b": 1.5}])))
@example(as_bytes(columns()).replace(b'"keys"', b'"\\u006beys": ["a", "b"], "keys"'))
def test_both_paths_read_the_same(value: bytes) -> None:
    """Whatever the fast path takes, the slow one takes with equal counters and no refusal."""
    quick = read_fast(value)
    if quick is not None:
        assert read_slowly(value) == (*quick, 0)


@settings(deadline=None)
@given(documents())
def test_the_fast_path_takes_ordinary_batches(document: dict[str, object]) -> None:
    """Without properties and without texts that look like field names nothing is left to the slow path."""
    counters = document.get("counters") or [document["columns"]]
    assert isinstance(counters, list)
    if any("properties" in fields for fields in counters) or _looks_like_a_name(as_bytes(document)):
        return
    assert read_fast(as_bytes(document)) is not None


def _looks_like_a_name(value: bytes) -> bool:
    names = (*row(), *columns()["columns"], "columns", "counters", "service", "revision", "revisions")
    counts = {name: value.count(b'"%b"' % name.encode()) for name in names}
    rows = value.count(b'"idempotency_key"')
    return any(count > max(rows, 1) for count in counts.values()) or b"\\u00" in value


@pytest.mark.parametrize(
    "value",
    [
        as_bytes(columns()),
        as_bytes(columns(revisions=[1, 2])),
        as_bytes(columns(properties=[None, {"region": "ca", "seats": 3, "trial": False, "note": None}])),
        as_bytes(columns() | {"sent_by": "a newer client"}),
        as_bytes(columns(keys=['a "quoted" key', "back\\slash"])),
        as_bytes(columns(subscriptions=["é", "ü"]), ascii_only=False),
        as_bytes(batch(row(), row(revision=2), row(quantity=1.5), row(quantity="1.5"), row(properties={}))),
        as_bytes(batch(row(colour="green"), sent_by={"name": "x"})),
    ],
)
def test_these_are_read_fast(value: bytes) -> None:
    """The usual batches of the SDK and of other clients, also with fields that we do not know."""
    assert read_fast(value) is not None


@given(strategies.counters(extras=False))
def test_what_the_sdk_writes_is_read_fast(counter: Counter) -> None:
    """Unless an id needs an escaped control character, of which there are none."""
    assert read_fast(encode_batch("nexamaps", [counter])) is not None
