"""Snapshots put aside for a rebuild, and when they may go."""

from pathlib import Path

from streams.store.aside import discard_aside, put_aside


def snapshot(directory: Path, offset: int) -> Path:
    """A file of this name."""
    path = directory / f"{offset:020d}.snapshot"
    path.write_bytes(b"x")
    return path


def test_what_is_aside_stays_until_a_snapshot_is_as_far(tmp_path: Path) -> None:
    """A replay saves on its way; only one that has caught up makes the old ones superfluous."""
    snapshot(tmp_path, 80)
    snapshot(tmp_path, 95)
    assert [path.name for path in put_aside(tmp_path)] == [f"{offset:020d}.snapshot" for offset in (80, 95)]
    assert list(tmp_path.glob("*.snapshot")) == []
    assert not discard_aside(tmp_path)
    snapshot(tmp_path, 94)
    assert not discard_aside(tmp_path)
    snapshot(tmp_path, 95)
    assert discard_aside(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{offset:020d}.snapshot" for offset in (94, 95)}
    assert put_aside(tmp_path / "nothing") == []
