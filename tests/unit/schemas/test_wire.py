"""The codec of usage batches: what goes in comes out, and each form means the same."""

import json
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Reason, Refused
from schemas.periods import parse_instant
from schemas.usage import COUNTERS_MAX, Counter, UsageBatch
from schemas.wire import decode_batch, encode_batch, from_micros, to_counters, to_micros
from tests.unit.schemas import strategies
from tests.unit.schemas.batches import END, START, as_bytes, batch, columns, documents, row


@given(strategies.codes, st.lists(strategies.counters(), min_size=1, max_size=5))
def test_what_is_encoded_is_decoded(service: str, counters: list[Counter]) -> None:
    """Every counter, exact, in its order."""
    decoded, refused = decode_batch(encode_batch(service, counters))
    assert refused == []
    assert decoded.service == service
    assert to_counters(decoded) == counters


@given(strategies.instants)
def test_microseconds_are_exact(instant: datetime) -> None:
    """There and back."""
    assert from_micros(to_micros(instant)) == instant


def test_objects_and_columns_decode_to_the_same() -> None:
    """The two forms of the same two counters."""
    rows = [row(), row(subscription="sub-2", idempotency_key="k-2", quantity="0.5")]
    assert to_counters(decode_batch(as_bytes(batch(*rows)))[0]) == to_counters(decode_batch(as_bytes(columns()))[0])


def test_a_counter_is_what_its_fields_say() -> None:
    """By hand, so that no shared code can be wrong twice."""
    value = as_bytes(batch(row(quantity="12.50", revision=3, properties={"region": "ca", "seats": 2})))
    [counter] = to_counters(decode_batch(value)[0])
    assert counter == Counter(
        subscription="sub-1",
        metric="api_calls",
        quantity=Decimal("12.5"),
        period_start=parse_instant(START),
        period_end=parse_instant(END),
        idempotency_key="k-1",
        revision=3,
        properties={"region": "ca", "seats": 2},
    )


def test_json_numbers_are_exact() -> None:
    """No binary float on the way: neither in objects nor in columns, neither fast nor slowly."""
    exact = "0.1000000000000000055"[:20]
    for value in (
        as_bytes(batch(row(quantity=7))).replace(b"7", exact.encode(), 1),
        as_bytes(columns(quantities=[7, 1])).replace(b"[7,", f"[{exact},".encode()),
        as_bytes(batch(row(quantity=7), row(quantity="x"))).replace(b"7", exact.encode(), 1),
    ):
        assert decode_batch(value)[0].quantities[0] == Decimal(exact)


def test_fractions_among_the_properties_stay_numbers() -> None:
    """A property of 1.50 does not become text on the way through the codec."""
    counter = Counter.model_validate(row(properties={"ratio": Decimal("1.50")}))
    value = encode_batch("nexamaps", [counter])
    assert b'{"ratio":1.50}' in value
    assert to_counters(decode_batch(value)[0]) == [counter]


def test_the_good_go_on_and_the_bad_are_named() -> None:
    """Index in the published batch, field and reason of each; the others keep their indexes."""
    decoded, refused = decode_batch(
        as_bytes(batch(row(), row(quantity="many"), row(idempotency_key="k-2"), row(period_end="soon", metric="NO"), 7))
    )
    assert [decoded.index_of(position) for position in range(len(decoded))] == [0, 2]
    assert [(counter.index, counter.reason, counter.field) for counter in refused] == [
        (1, Reason.BAD_QUANTITY, "quantity"),
        (3, Reason.BAD_METRIC, "metric"),
        (4, Reason.MALFORMED_BATCH, None),
    ]
    assert refused[0].message == "quantity must be a plain decimal number"


def test_a_period_that_ends_before_it_starts_is_named_once() -> None:
    """The message reads as a sentence."""
    [refused] = decode_batch(as_bytes(batch(row(period_start=END, period_end=START))))[1]
    assert refused.message == "period_end must not lie before period_start"


def test_select_keeps_the_places_in_the_published_batch() -> None:
    """Also when selected twice."""
    decoded, _ = decode_batch(as_bytes(columns(revisions=[0, 5])))
    second = decoded.select([1]).select([0])
    assert [second.index_of(0), second.keys, second.revisions] == [1, ["k-2"], [5]]
    assert to_counters(second) == to_counters(decoded)[1:]


@pytest.mark.parametrize("form", ["counters", "columns"])
def test_a_batch_has_a_greatest_size(form: str) -> None:
    """10,000 counters are taken, one more is refused as a whole."""

    def of(size: int) -> bytes:
        if form == "counters":
            return as_bytes(batch(*[row(idempotency_key=f"k{index}") for index in range(size)]))
        zeros = [0] * size
        keys = [f"k{index}" for index in range(size)]
        return as_bytes(columns(subscription=zeros, metric=zeros, period=zeros, quantities=zeros, keys=keys))

    assert len(decode_batch(of(COUNTERS_MAX))[0]) == COUNTERS_MAX
    with pytest.raises(Refused, match="1 to 10000 counters") as caught:
        decode_batch(of(COUNTERS_MAX + 1))
    assert caught.value.reason is Reason.MALFORMED_BATCH


@given(documents())
def test_the_codec_and_the_model_agree_on_good_batches(document: dict[str, object]) -> None:
    """`schemas.usage.UsageBatch`, which the JSON Schema comes from, takes what the codec takes."""
    _, refused = decode_batch(as_bytes(document))
    assert refused == []
    UsageBatch.model_validate(json.loads(as_bytes(document), parse_float=Decimal))
