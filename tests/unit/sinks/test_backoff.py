"""Back-off of the sinks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.backoff import wait_s


@pytest.mark.parametrize(
    ("failures", "expected_s"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 30), (8, 30), (10_000, 30)]
)
def test_waits_follow_the_table(failures: int, expected_s: float) -> None:
    """The table in the docstring is the function."""
    assert wait_s(failures) == expected_s


@given(st.integers(1, 100), st.floats(0, 1e9))
def test_a_wish_of_the_neighbour_lengthens_within_the_limit(failures: int, wish_s: float) -> None:
    """Never shorter than the table, never longer than half a minute."""
    assert wait_s(failures) <= wait_s(failures, wish_s) <= 30
