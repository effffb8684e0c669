"""The cursor: only a settled prefix may be committed."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.cursor import Cursor


def test_an_unsettled_record_holds_back_its_own_partition_only() -> None:
    """Later settled records of its partition wait; another partition goes on."""
    cursor = Cursor()
    for partition, offset in ((0, 10), (0, 11), (0, 12), (1, 5)):
        cursor.begin(partition, offset)
    cursor.settle(0, 10)
    cursor.settle(0, 12)
    cursor.settle(1, 5)
    assert dict(cursor.settled()) == {0: 11, 1: 6}


def test_the_cursor_carries_across_batches() -> None:
    """A failure in one batch is not passed over by the next batch's success."""
    cursor = Cursor()
    cursor.begin(0, 1)
    cursor.begin(0, 2)
    cursor.settle(0, 2)
    cursor.begin(0, 3)
    cursor.settle(0, 3)
    assert dict(cursor.settled()) == {0: 1}
    cursor.settle(0, 1)
    assert dict(cursor.settled()) == {0: 4}


def test_a_dropped_partition_is_forgotten_and_may_come_back_at_an_older_offset() -> None:
    """Work of a revoked partition leaves no trace in later commits."""
    cursor = Cursor()
    cursor.begin(0, 7)
    cursor.drop(0)
    cursor.settle(0, 7)
    assert dict(cursor.settled()) == {}
    cursor.begin(0, 4)
    cursor.settle(0, 4)
    assert dict(cursor.settled()) == {0: 5}


@given(st.lists(st.integers(0, 200), unique=True, min_size=1), st.data())
def test_nothing_unsettled_lies_before_the_committed_offset(offsets: list[int], data: st.DataObject) -> None:
    """Whatever order records settle in and wherever compaction left gaps, the offset is the naive prefix."""
    offsets.sort()
    settled = set(data.draw(st.lists(st.sampled_from(offsets), unique=True)))
    cursor = Cursor()
    for offset in offsets:
        cursor.begin(3, offset)
    for offset in data.draw(st.permutations(sorted(settled))):
        cursor.settle(3, offset)
    open_offsets = [offset for offset in offsets if offset not in settled]
    assert cursor.settled()[3] == (open_offsets[0] if open_offsets else offsets[-1] + 1)
