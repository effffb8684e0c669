"""The outbox: each source record puts its input in once."""

from streams.partition.outbox import Outbox
from streams.records import Outgoing


def record(name: str, size: int = 1) -> Outgoing:
    """A record to publish."""
    return Outgoing("rejected", name.encode(), b"x" * size)


def names(outbox: Outbox) -> list[str]:
    """What would be published."""
    return [(each.key or b"").decode() for each in outbox.records()]


def test_what_is_settled_goes_and_what_came_meanwhile_stays() -> None:
    """Settling covers the records before an offset."""
    outbox = Outbox()
    outbox.put(3, [record("a"), record("b")])
    outbox.put(5, [record("c")])
    outbox.settle(4)
    assert names(outbox) == ["c"]
    outbox.settle(2)
    assert (names(outbox), outbox.settled) == (["c"], 4)


def test_a_replay_puts_nothing_in_twice() -> None:
    """Neither what waits, nor what is out."""
    outbox = Outbox()
    outbox.settle(4)
    for _ in range(2):
        for offset in range(8):
            outbox.put(offset, [record(str(offset))] if offset % 2 else [])
    assert names(outbox) == ["5", "7"]
    outbox.settle(8)
    outbox.put(7, [record("7")])
    assert names(outbox) == []


def test_a_snapshot_restores_it() -> None:
    """What had been published after the snapshot was taken is not published again."""
    outbox = Outbox()
    outbox.put(3, [record("a")])
    outbox.put(6, [record("b")])
    restored = Outbox.load(0, outbox.waiting)
    restored.put(6, [record("again")])
    assert names(restored) == ["a", "b"]
    assert names(Outbox.load(4, outbox.waiting)) == ["b"]


def test_it_is_full_by_bytes() -> None:
    """A flood of refused megabytes is published before more is taken in."""
    outbox = Outbox()
    assert not outbox.is_full
    outbox.put(0, [record("a", 40 << 20)])
    assert outbox.is_full
