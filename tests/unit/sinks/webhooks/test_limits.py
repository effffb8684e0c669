"""Rate, breaker and slots, on a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.webhooks.limits import Breaker, Slots, TokenBucket, Trust


def failed(breaker: Breaker, times: int, now_s: float) -> None:
    """Let so many attempts fail."""
    for _ in range(times):
        breaker.note(success=False, now_s=now_s)


def test_a_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    """Two seconds' worth at once, then one every tenth of a second."""
    bucket = TokenBucket(10, 0.0)
    for _ in range(20):
        assert bucket.wait_s(0.0) == 0
        bucket.take()
    assert bucket.wait_s(0.0) == pytest.approx(0.1)
    assert bucket.wait_s(0.1) == 0


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 5), max_size=50))
def test_a_bucket_never_exceeds_its_rate(rate_per_s: float, gaps_s: list[float]) -> None:
    """In any stretch of time: the burst plus the rate."""
    bucket, now_s, passed = TokenBucket(rate_per_s, 0.0), 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        if bucket.wait_s(now_s) == 0:
            bucket.take()
            passed += 1
    assert passed <= max(1.0, 2 * rate_per_s) + rate_per_s * now_s + 1e-6


def test_nine_failures_open_nothing_and_ten_do() -> None:
    """A few bad answers are no pattern."""
    breaker = Breaker(1.0)
    failed(breaker, 9, 0)
    assert breaker.is_closed
    failed(breaker, 1, 0)
    assert not breaker.is_closed
    assert breaker.wait_s(0) == 30
    assert breaker.wait_s(30) == 0


def test_a_third_of_successes_keeps_it_closed() -> None:
    """Seventy per cent is the line."""
    breaker = Breaker(1.0)
    for number in range(60):
        breaker.note(success=number % 3 == 0, now_s=number)
    assert breaker.is_closed


def test_failures_of_long_ago_do_not_count() -> None:
    """Five minutes are the window."""
    breaker = Breaker(1.0)
    failed(breaker, 9, 0)
    failed(breaker, 9, 301)
    assert breaker.is_closed


def test_each_failed_probe_doubles_the_wait_and_a_good_one_ends_it() -> None:
    """Up to a quarter of an hour."""
    breaker, now_s, waits = Breaker(1.0), 0.0, []
    failed(breaker, 10, now_s)
    for _ in range(7):
        waits.append(breaker.wait_s(now_s))
        now_s += waits[-1]
        failed(breaker, 1, now_s)
    assert waits == [30, 60, 120, 240, 480, 900, 900]
    now_s += breaker.wait_s(now_s)
    breaker.note(success=True, now_s=now_s)
    assert breaker.is_closed
    failed(breaker, 10, now_s)
    assert breaker.wait_s(now_s) == 30


def test_answers_that_come_after_it_opened_change_nothing() -> None:
    """Their attempts had started before."""
    breaker = Breaker(1.0)
    failed(breaker, 14, 0)
    breaker.note(success=True, now_s=10)
    assert breaker.wait_s(10) == 20


def test_fresh_and_suspect_endpoints_get_a_quarter_of_the_slots_each() -> None:
    """However many there are; the rest is for those that answer."""
    slots = Slots(20)
    fresh = [slots.take(Trust.FRESH) for _ in range(8)]
    suspect = [slots.take(Trust.SUSPECT) for _ in range(8)]
    proven = [slots.take(Trust.PROVEN) for _ in range(12)]
    assert [one is not None for one in fresh] == [True] * 5 + [False] * 3
    assert [one is not None for one in suspect] == [True] * 5 + [False] * 3
    assert [one is not None for one in proven] == [True] * 10 + [False] * 2
    assert fresh[0] is not None
    slots.give_back(fresh[0])
    assert slots.take(Trust.PROVEN)
    assert not slots.take(Trust.FRESH)


def test_an_endpoint_that_does_not_answer_makes_room_for_others_of_its_kind() -> None:
    """Up to half of all slots; a quarter stays with proven ones whatever happens."""
    slots, hanging = Slots(20), 0
    for _ in range(10):
        while (slot := slots.take(Trust.FRESH)) is not None:
            hanging += 1
            slots.note_slow(slot)
    assert hanging == 15
    assert all(slots.take(Trust.PROVEN) for _ in range(5))
    assert not slots.take(Trust.SUSPECT)


def test_slots_come_back_from_wherever_they_were_counted() -> None:
    """Otherwise a worker would run dry after a while."""
    slots = Slots(4)
    for _ in range(20):
        taken = [slot for trust in (Trust.FRESH, Trust.SUSPECT, Trust.PROVEN) if (slot := slots.take(trust))]
        assert len(taken) == 3
        for slot in taken:
            slots.note_slow(slot)
            slots.give_back(slot)
