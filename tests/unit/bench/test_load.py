"""The benchmark's load: the same each time, what the contract says, and summed right."""

from __future__ import annotations

from dataclasses import replace

from deploy.bench.meter.load import SERVICE, Expected, Load, subscriptions_by_partition
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of
from schemas.usage import UsageBatch
from schemas.wire import decode_batch, encode_batch, fast, to_counters

LOAD = Load("t-", 3_001, 100, 0.2, subscriptions_by_partition(3, 4), seed=7)


def test_containers_are_what_the_codec_itself_would_write() -> None:
    """Nobody measures a form that no producer sends."""
    for record in LOAD.records(Expected()):
        columns, refused = decode_batch(record.value)
        assert not refused
        assert encode_batch(SERVICE, to_counters(columns)) == record.value
        fast.decode(record.value)


def test_every_counter_lies_on_the_partition_of_its_key() -> None:
    """A meter that has to send counters on would be measured doing something else."""
    for record in LOAD.records(Expected()):
        for name in decode_batch(record.value)[0].subscriptions:
            assert partition_of(usage_key(SERVICE, name), 3) == record.partition


def test_expected_is_the_last_value_of_each_key_in_the_order_of_the_log() -> None:
    """The model agrees with reading the records naively."""
    expected = Expected()
    last: dict[tuple[str, str], int] = {}
    sent = 0
    for record in LOAD.records(expected):
        for counter in to_counters(decode_batch(record.value)[0]):
            last[counter.subscription, counter.idempotency_key] = int(counter.quantity)
            sent += 1
    _assert_equals(expected, last)
    assert sent == LOAD.counters
    assert 0.15 < 1 - expected.distinct / sent < 0.25


def test_single_counters_carry_their_key_and_are_summed_the_same_way() -> None:
    """One counter a record, in the form for any client."""
    expected = Expected()
    last: dict[tuple[str, str], int] = {}
    records = list(LOAD.singles(expected))
    for record in records:
        [counter] = UsageBatch.model_validate_json(record.value).counters or []
        assert record.key == usage_key(SERVICE, counter.subscription).encode()
        last[counter.subscription, counter.idempotency_key] = int(counter.quantity)
    assert len(records) == LOAD.counters
    _assert_equals(expected, last)


def test_the_same_load_is_made_each_time() -> None:
    """Equal description, equal bytes; another label, other keys."""
    once, again = list(LOAD.records(Expected())), list(LOAD.records(Expected()))
    assert once == again
    keys, others = (
        {key for each in load.records(Expected()) for key in decode_batch(each.value)[0].keys}
        for load in (LOAD, replace(LOAD, label="u-"))
    )
    assert not keys & others


def _assert_equals(expected: Expected, last: dict[tuple[str, str], int]) -> None:
    for name in expected.sums:
        values = [quantity for (owner, _), quantity in last.items() if owner == name]
        assert (expected.sums[name], expected.keys[name]) == (sum(values), len(values))
    assert expected.distinct == len(last)
