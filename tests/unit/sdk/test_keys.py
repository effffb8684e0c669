"""Deterministic idempotency keys."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.sdk import counter_key
from schemas.identifiers import check_external_id

_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=120).filter(
    lambda text: len(text.encode()) <= 255
)


def test_the_same_counter_has_the_same_key_in_any_time_zone() -> None:
    """The instant counts, not how it is written."""
    written = datetime(2026, 7, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    key = counter_key("sub-1", "api_calls", written)
    assert key == counter_key("sub-1", "api_calls", "2026-07-01T00:00:00Z") == "api_calls/2026-07-01T00:00:00Z//sub-1"


@given(first=st.tuples(_TEXT, st.text(max_size=40)), second=st.tuples(_TEXT, st.text(max_size=40)))
def test_different_counters_have_different_keys(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Whatever slashes the parts hold, two counters never share a key, and every key is a valid one."""
    try:
        keys = [
            counter_key(subscription, "m", "2026-07-01T00:00:00Z", source) for subscription, source in (first, second)
        ]
    except ValueError:
        return  # a source that is no Unicode text
    assert (keys[0] == keys[1]) == (first == second)
    for key in keys:
        check_external_id(key)


def test_sources_tell_parts_of_one_period_apart() -> None:
    """Two hosts that each count a part must not replace each other."""
    assert counter_key("s", "m", "2026-07-01T00:00:00Z", "a") != counter_key("s", "m", "2026-07-01T00:00:00Z", "b")


@pytest.mark.parametrize("instant", ["2026-07-01T00:00:00", datetime(2026, 7, 1)])  # noqa: DTZ001 -- the case
def test_an_instant_without_offset_is_refused(instant: datetime | str) -> None:
    """It would be another instant on another machine."""
    with pytest.raises(ValueError, match="offset"):
        counter_key("s", "m", instant)
