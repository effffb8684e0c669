"""When a failed delivery is tried again."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.webhooks.schedule import retry_after_s, schedule_of, wait_after

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
COMPATIBLE = schedule_of("compatible", 60)
LONG = schedule_of("long", 60)
MIDDLE = 0.5  # the jitter that changes nothing


def test_the_compatible_schedule_doubles_from_two_minutes() -> None:
    """Eight attempts, 254 minutes."""
    waits = [wait_after(COMPATIBLE, attempt, jitter=MIDDLE) for attempt in range(1, 9)]
    assert waits == [120, 240, 480, 960, 1920, 3840, 7680, None]


def test_the_long_schedule_lasts_three_days() -> None:
    """Eleven attempts, 75.6 hours."""
    waits = [wait_after(LONG, attempt, jitter=MIDDLE) for attempt in range(1, 12)]
    assert waits == [5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400, None]


@given(st.integers(1, 7), st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_a_fifth(attempt: int, jitter: float) -> None:
    """The wait is the table's, give or take 20 %."""
    base_s = 60 * 2**attempt
    wait_s = wait_after(COMPATIBLE, attempt, jitter=jitter)
    assert wait_s is not None
    assert 0.8 * base_s <= wait_s <= 1.2 * base_s


@pytest.mark.parametrize(("asked_s", "expected_s"), [(0, 120), (150, 150), (240, 240), (1e9, 240), (-5, 120)])
def test_retry_after_is_obeyed_between_once_and_twice_the_wait(asked_s: float, expected_s: float) -> None:
    """A receiver can slow us down, but neither hurry nor silence us."""
    assert wait_after(COMPATIBLE, 1, jitter=MIDDLE, retry_after_s=asked_s) == expected_s


def test_a_throttling_answer_waits_a_minute_at_least() -> None:
    """The long schedule's five seconds are no answer to 429."""
    assert wait_after(LONG, 1, jitter=MIDDLE, throttled=True) == 60
    assert wait_after(COMPATIBLE, 1, jitter=MIDDLE, throttled=True) == 120


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        (None, None),
        ("120", 120),
        (" 7 ", 7),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("9" * 400, float("9" * 12)),
        ("Wed, 01 Jul 2026 12:01:00 GMT", 60),
        ("Wed, 01 Jul 2026 12:01:00 -0000", 60),
        ("Wed, 01 Jul 2026 11:59:00 GMT", None),
        ("Wed, 99 Jul 2026 11:59:00 GMT", None),
    ],
)
def test_retry_after_reads_seconds_and_dates_and_survives_garbage(header: str | None, expected_s: float | None) -> None:
    """Garbage, negative and past values are as good as none; huge ones harmless."""
    assert retry_after_s(header, NOW) == expected_s


@given(st.text(max_size=60))
def test_no_header_text_breaks_the_reader(header: str) -> None:
    """Receivers are strangers."""
    wait_s = retry_after_s(header, NOW)
    assert wait_s is None or wait_s >= 0
