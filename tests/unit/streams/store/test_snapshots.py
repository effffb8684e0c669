"""Snapshots: the newest good one is loaded, a bad one never."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.settings import REPOSITORY
from streams.domain.catalog import CatalogView
from streams.store import snapshots
from streams.store.partition_store import PartitionStore
from streams.store.published import Published
from streams.store.snapshots import Context
from tests.unit.streams.catalogs import CODE, charge, columns, metric, plan, subscription, tiers, view

# A module of its own each time, so that each time the types are new.
_SIDE_BY_SIDE = """
import importlib.util, sys, threading
from pathlib import Path
from streams.domain.catalog import CatalogView
from streams.store import closed, published, snapshots

def fresh(module):
    spec = importlib.util.spec_from_file_location(module.__name__, module.__file__)
    sys.modules[module.__name__] = again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    setattr(sys.modules["streams.store"], module.__name__.rpartition(".")[2], again)
    return again

sys.setswitchinterval(1e-6)
for _ in range(20):
    fresh(published), fresh(closed)
    module, begin, found = fresh(snapshots), threading.Barrier(4), []
    def load():
        begin.wait()
        found.append(module.load_newest(Path(sys.argv[1]), int(sys.argv[2]), CatalogView()))
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(found), found
"""

EPOCH = 2
CATALOG = view(plan(), subscription(), metric())


def filled(offset: int, catalog: CatalogView = CATALOG) -> PartitionStore:
    """A store that has applied `offset`, with one key per offset and one wide value."""
    store = PartitionStore(11, catalog)
    store.apply(0, columns(("acme", CODE, "wide", 1_783_000_000_000_000, Decimal("1E-18"))))
    for number in range(1, offset + 1):
        store.apply(number, columns(("acme", CODE, f"k{number}", 1_783_000_000_000_000, number)))
    return store


def save(directory: Path, offset: int, **fields: int) -> Path:
    """Write a snapshot of `filled(offset)`."""
    return snapshots.write(snapshots.take(filled(offset), Context(fields.get("epoch", EPOCH))), directory)


def loaded_offset(directory: Path) -> int | None:
    """Which offset a restart would begin after."""
    loaded = snapshots.load_newest(directory, EPOCH, CATALOG)
    return None if loaded is None else loaded[0].applied_offset


def test_what_was_not_published_yet_comes_back(tmp_path: Path) -> None:
    """Refused and stray input waits in the snapshot, bytes and all; so does what has been billed."""
    waiting = ((2, "t", None, b"\x00\xff", 3), (3, "u", b"key", b"{}", None))
    context = Context(EPOCH, catalog_offset=7, settled=2, unpublished=waiting, positions=(("totals", 1, 5),))
    original = filled(3)
    name = ("maps", "acme", CODE, 0)
    tiered = charge(2, code="seats", tiers=tiers(("5", "0.1"), (None, "0.05")))
    original.published = Published({name: {"calls": charge(), "seats": tiered}}, {name: ("calls/80",)}, {name: 3})
    original.first_offset = 2
    snapshots.write(snapshots.take(original, context), tmp_path)
    loaded = snapshots.load_newest(tmp_path, EPOCH, CATALOG)
    assert loaded is not None
    store, restored = loaded
    assert restored == context
    assert (store.published, store.distinct.counted_by) == (original.published, original.distinct.counted_by)
    assert store.first_offset == 2
    assert store.totals([0]) == filled(3).totals([0])


def test_partitions_are_read_side_by_side(tmp_path: Path) -> None:
    """At the first look, too, when the library has not seen the types yet: in a process that may crash."""
    save(tmp_path, 3)
    command = [sys.executable, "-c", _SIDE_BY_SIDE, str(tmp_path), str(EPOCH)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (ended.returncode, ended.stderr)


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    """Older ones are deleted, temporary files leave no trace."""
    for offset in (1, 5, 12, 100):
        save(tmp_path, offset)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{12:020d}.snapshot",
        f"{100:020d}.snapshot",
    ]
    assert loaded_offset(tmp_path) == 100


def test_no_folder_no_snapshot(tmp_path: Path) -> None:
    """The log itself takes over."""
    assert loaded_offset(tmp_path / "nowhere") is None


def test_a_leftover_temporary_file_is_not_loaded(tmp_path: Path) -> None:
    """A crash while writing leaves the former snapshot in charge."""
    path = save(tmp_path, 5)
    path.with_name(f"{9:020d}.tmp").write_bytes(path.read_bytes())
    assert loaded_offset(tmp_path) == 5


def test_another_epoch_is_skipped(tmp_path: Path) -> None:
    """A snapshot of the topic's former life is none of this one's."""
    save(tmp_path, 9, epoch=1)
    save(tmp_path, 5)
    assert loaded_offset(tmp_path) == 5


def test_another_format_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build refuses what it cannot be sure to read."""
    save(tmp_path, 5)
    monkeypatch.setattr(snapshots, "FORMAT", snapshots.FORMAT + 1)
    save(tmp_path, 9)
    monkeypatch.undo()
    assert loaded_offset(tmp_path) == 5


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_damage_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A flipped bit or a missing end, anywhere: the older snapshot takes over."""
    directory = tmp_path_factory.mktemp("snapshots")
    save(directory, 3)
    newest = save(directory, 8)
    good = newest.read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        newest.write_bytes(good[:place])
    else:
        flipped = good[place] ^ (1 << data.draw(st.integers(0, 7)))
        newest.write_bytes(good[:place] + bytes([flipped]) + good[place + 1 :])
    assert loaded_offset(directory) == 3
    for path in directory.iterdir():
        path.write_bytes(b"")
    assert loaded_offset(directory) is None


def test_an_image_does_not_follow_the_store(tmp_path: Path) -> None:
    """What is written is the moment of the copy, whatever happens until the thread is done."""
    store = filled(4)
    image = snapshots.take(store, Context(EPOCH))
    store.apply(5, columns(("acme", CODE, "k4", 1_783_000_000_000_000, 1000)))
    snapshots.write(image, tmp_path)
    loaded = snapshots.load_newest(tmp_path, EPOCH, CATALOG)
    assert loaded is not None
    assert loaded[0].totals([0]) == filled(4).totals([0])
