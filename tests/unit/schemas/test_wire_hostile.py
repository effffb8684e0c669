"""Hostile input ends as a refusal and nothing else: one that escapes would stop a partition."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Reason, Refused
from schemas.events import Refusal
from schemas.wire import decode_batch
from schemas.wire.columns import RefusedCounter
from tests.unit.schemas.batches import as_bytes, batch, columns, mutated, row


def _verdict(value: bytes) -> list[RefusedCounter]:
    """Return the refusals; fails with whatever else is raised."""
    try:
        decoded, refused = decode_batch(value)
    except Refused as refusal:
        refused = [RefusedCounter(None, refusal.reason, refusal.field, str(refusal))]
    else:
        indexes = [decoded.index_of(position) for position in range(len(decoded))]
        assert not set(indexes) & {counter.index for counter in refused}
    for counter in refused:  # ... and each fits a record of the rejected topic
        Refusal(index=counter.index, reason=counter.reason, field=counter.field, message=counter.message)
    return refused


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(value: bytes) -> None:
    """Noise is no batch."""
    assert [refused.index for refused in _verdict(value)] == [None]


@settings(max_examples=300, deadline=None)
@given(mutated(), st.integers(0, 2000), st.binary(max_size=3))
def test_damaged_batches_raise_nothing_else(value: bytes, place: int, noise: bytes) -> None:
    """Faults in fields, then a few bytes written over."""
    _verdict(value)
    _verdict(value[:place] + noise + value[place + len(noise) :])
    _verdict(value[:place])


_DEEP = b"[" * 100_000 + b"]" * 100_000
_WIDE = b"{" + b",".join(b'"a":1' for _ in range(100_000)) + b"}"


ATTACKS = {
    "nothing": (b"", Reason.MALFORMED_BATCH),
    "null": (b"null", Reason.MALFORMED_BATCH),
    "byte order mark": (b"\xef\xbb\xbf{}", Reason.MALFORMED_BATCH),
    "other encoding": (b"\xff\xfe", Reason.MALFORMED_BATCH),
    "deep lists": (_DEEP, Reason.MALFORMED_BATCH),
    "deep objects": (b'{"x":' * 100_000, Reason.MALFORMED_BATCH),
    "wide object": (_WIDE, Reason.BAD_SERVICE),
    "great number": (b"9" * 100_000, Reason.MALFORMED_BATCH),
    "NaN": (b"NaN", Reason.MALFORMED_BATCH),
    "absurd number": (b"-1e99999999999999999999", Reason.MALFORMED_BATCH),
    "two documents": (as_bytes(batch(row())) + b"{}", Reason.MALFORMED_BATCH),
    "deep unknown field": (as_bytes(batch(row(), note="?")).replace(b'"?"', _DEEP), Reason.MALFORMED_BATCH),
    "surrogate bytes": (as_bytes(batch(row(), note="?")).replace(b"?", b"\xed\xa0\x80"), Reason.MALFORMED_BATCH),
    "version 1.0": (as_bytes(batch(row()) | {"schema_version": 1.0}), Reason.UNKNOWN_SCHEMA),
    "version true": (as_bytes(batch(row()) | {"schema_version": True}), Reason.UNKNOWN_SCHEMA),
    "version null": (as_bytes(batch(row()) | {"schema_version": None}), Reason.UNKNOWN_SCHEMA),
    "service surrogate": (as_bytes(batch(row()) | {"service": "\ud800"}), Reason.BAD_SERVICE),
    "service newline": (as_bytes(batch(row()) | {"service": "nexamaps\n"}), Reason.BAD_SERVICE),
    "quantity true": (as_bytes(batch(row(quantity=True))), Reason.BAD_QUANTITY),
    "quantity underscore": (as_bytes(batch(row(quantity="1_0"))), Reason.BAD_QUANTITY),
    "quantity 4000 digits": (as_bytes(batch(row(quantity=10**4000))), Reason.BAD_QUANTITY),
    "quantity 50000 digits": (as_bytes(batch(row(quantity="?"))).replace(b'"?"', b"1" * 50_000), Reason.BAD_QUANTITY),
    "quantity 200 places": (
        as_bytes(batch(row(quantity="?"))).replace(b'"?"', b"1." + b"0" * 200 + b"1"),
        Reason.BAD_QUANTITY,
    ),
    "quantity absurd exponent": (
        as_bytes(batch(row(quantity="?"))).replace(b'"?"', b"1e-99999999999999999999"),
        Reason.BAD_QUANTITY,
    ),
    "revision 0.0": (as_bytes(batch(row(revision=0.0))), Reason.BAD_REVISION),
    "revision 1e400": (as_bytes(batch(row(revision="?"))).replace(b'"?"', b"1e400"), Reason.BAD_REVISION),
    "revision 5000 digits": (as_bytes(batch(row(revision="?"))).replace(b'"?"', b"7" * 5000), Reason.BAD_REVISION),
    "subscription surrogate": (as_bytes(batch(row(subscription="\ud800"))), Reason.BAD_SUBSCRIPTION),
    "key surrogates": (as_bytes(batch(row(idempotency_key="\udfff\ud800"))), Reason.BAD_KEY),
    "metric list": (as_bytes(batch(row(metric=["api_calls"]))), Reason.BAD_METRIC),
    "property name surrogate": (as_bytes(batch(row(properties={"\ud800": 1}))), Reason.BAD_PROPERTIES),
    "property surrogate": (as_bytes(batch(row(properties={"a": "\ud800"}))), Reason.BAD_PROPERTIES),
    "property list": (as_bytes(batch(row(properties={"a" * 5000: []}))), Reason.BAD_PROPERTIES),
    "property absurd": (
        as_bytes(batch(row(properties={"a": "?"}))).replace(b'"?"', b"1e99999999999999999999"),
        Reason.BAD_PROPERTIES,
    ),
    "property twice": (
        as_bytes(batch(row(properties={"a": 1}))).replace(b'"a"', b'"a": 2, "a"'),
        Reason.BAD_PROPERTIES,
    ),
    "short column": (as_bytes(columns(quantities=[1])), Reason.MALFORMED_BATCH),
    "keys text": (as_bytes(columns(keys="k1")), Reason.MALFORMED_BATCH),
    "revisions zero": (as_bytes(columns(revisions=0)), Reason.MALFORMED_BATCH),
    "revisions empty": (as_bytes(columns(revisions=[])), Reason.MALFORMED_BATCH),
    "metric missing": (as_bytes(columns(metric=...)), Reason.MALFORMED_BATCH),
    "no counters": (
        as_bytes(columns(keys=[], subscription=[], metric=[], period=[], quantities=[])),
        Reason.MALFORMED_BATCH,
    ),
    "index negative": (as_bytes(columns(subscription=[0, -1])), Reason.BAD_SUBSCRIPTION),
    "index outside": (as_bytes(columns(subscription=[0, 2])), Reason.BAD_SUBSCRIPTION),
    "index true": (as_bytes(columns(subscription=[0, True])), Reason.BAD_SUBSCRIPTION),
    "index text": (as_bytes(columns(metric=[0, "0"])), Reason.BAD_METRIC),
    "index great": (as_bytes(columns(period=[0, 2**70])), Reason.BAD_PERIOD),
    "period of one": (as_bytes(columns(periods=[["2026-07-01T00:00:00Z"]])), Reason.BAD_PERIOD),
    "great dictionary": (as_bytes(columns(metrics=["a"] * 100_000, metric=[0, 100_000])), Reason.BAD_METRIC),
}


@pytest.mark.parametrize(("value", "reason"), ATTACKS.values(), ids=ATTACKS)
def test_each_attack_is_refused_for_its_reason(value: bytes, reason: Reason) -> None:
    """The first refusal says what is wrong."""
    assert _verdict(value)[0].reason is reason


def test_ten_to_the_five_metrics_are_read() -> None:
    """A great dictionary is odd, not wrong."""
    metrics = [f"m{number}" for number in range(100_000)]
    assert _verdict(as_bytes(columns(metrics=metrics, metric=[0, 99_999]))) == []


def test_a_fault_that_nobody_reads_is_none() -> None:
    """Unused dictionary entries and repeated unknown fields do not cost good counters."""
    assert _verdict(as_bytes(columns(metrics=["api_calls", "NO SUCH"]))) == []
    assert _verdict(as_bytes(batch(row(note=1))).replace(b'"note"', b'"note": 2, "note"')) == []


def test_one_repeated_field_refuses_one_counter() -> None:
    """Which value was meant, nobody knows; the neighbours go on."""
    value = as_bytes(batch(row(quantity=7), row(idempotency_key="k-2")))
    [refused] = _verdict(value.replace(b'"quantity": 7', b'"quantity": 7, "quantity": 8'))
    assert (refused.index, refused.reason, refused.message) == (0, Reason.BAD_QUANTITY, "quantity occurs twice")
