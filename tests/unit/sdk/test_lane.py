"""A lane, against every order of answers: what is released is an acknowledged prefix, and the log ends in add order."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from producers.sdk.lane import ClientLimits, Held, Lane
from schemas.usage import Counter

START = datetime(2026, 7, 1, tzinfo=UTC)


def held(sequence: int) -> Held:
    """A held counter whose quantity is its sequence."""
    counter = Counter(
        subscription="s",
        metric="m",
        quantity=Decimal(sequence),
        period_start=START,
        period_end=START,
        idempotency_key="k",
    )
    return Held(sequence, 0.0, 10, counter)


@given(count=st.integers(1, 30), data=st.data())
def test_whatever_fails_the_log_ends_with_the_last_value(count: int, data: st.DataObject) -> None:
    """Answers come in any order, some no; at the end all is released, in order, and the newest value is last."""
    lane = Lane(ClientLimits(counters_per_record=3))
    for sequence in range(1, count + 1):
        lane.put(held(sequence))
    lane.close_record()
    log: list[int] = []
    released: list[int] = []
    failures = data.draw(st.integers(0, 6))
    while lane.first_sequence() is not None:
        in_flight = lane.take_sendable(now_s=1.0)
        assert in_flight
        # Kafka keeps the order of one producer's records on a partition; a failed one may or may not be in the log.
        outcomes = [failures > 0 and data.draw(st.booleans()) for _ in in_flight]
        for batch, fails in zip(in_flight, outcomes, strict=True):
            if not fails or data.draw(st.booleans()):
                log += [entry.sequence for entry in batch.held]
        failures -= sum(outcomes)
        for position in data.draw(st.permutations(range(len(in_flight)))):
            if outcomes[position]:
                lane.mark_failed(in_flight[position], retry_at_s=1.0)
            else:
                released += [entry.sequence for entry in lane.mark_acknowledged(in_flight[position])]
            assert released == list(range(1, len(released) + 1))
    assert released == list(range(1, count + 1))
    assert log[-1] == count
    last_seen = {sequence: position for position, sequence in enumerate(log)}
    assert sorted(last_seen, key=last_seen.__getitem__) == sorted(last_seen)


def test_a_failed_lane_waits_for_its_retry_time() -> None:
    """Nothing is sent before, and nothing while another record of the lane is undecided."""
    lane = Lane(ClientLimits(counters_per_record=1))
    lane.put(held(1))
    lane.put(held(2))
    first, second = lane.take_sendable(0.0)
    lane.mark_failed(first, retry_at_s=5.0)
    assert lane.sendable_at_s() is None
    assert lane.mark_acknowledged(second) == []
    assert lane.sendable_at_s() == 5.0
    assert lane.take_sendable(4.9) == []
    assert lane.take_sendable(5.0) == [first, second]


def test_a_lone_counter_cannot_be_split() -> None:
    """A record of one counter stays as it is."""
    lane = Lane(ClientLimits(counters_per_record=1))
    lane.put(held(1))
    (batch,) = lane.take_sendable(0.0)
    assert not lane.split(batch)
