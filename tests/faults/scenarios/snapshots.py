"""Snapshots that are gone, old or damaged."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

from tests.faults.load import under_load
from tests.faults.workers import running

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.faults.rig import Rig


def all_snapshots_deleted(rig: Rig) -> None:
    """The log alone gives the same totals, and what was refused is not refused twice."""
    lab, victim = rig.lab, rig.victim()
    with running(victim):
        for _ in range(rig.times):
            with under_load(lab):
                victim.wait_for_more("snapshot.written", lab.partitions + 1)
                victim.kill()
                shutil.rmtree(victim.folder)
                victim.start()
                lab.pass_records(60)
            rig.judge()


def an_old_copy_put_back(rig: Rig) -> None:
    """An old snapshot in the place of the newest ones is an older prefix, no more."""
    lab, victim = rig.lab, rig.victim()
    with running(victim):
        for _ in range(rig.times):
            with under_load(lab):
                victim.wait_for_more("snapshot.written", lab.partitions)
                victim.kill()
                old = {path: path.read_bytes() for path in victim.snapshots()}
                victim.start()
                victim.wait_for_more("snapshot.written", 3 * lab.partitions)
                victim.kill()
                for path in victim.snapshots():
                    path.unlink()
                for path, raw in old.items():
                    path.write_bytes(raw)
                victim.start()
                lab.pass_records(60)
            rig.judge()


def damaged_snapshots(rig: Rig) -> None:
    """Cut off or with a flipped bit anywhere, one or all: each is noticed, the older one or the log takes over."""
    lab, chance, victim = rig.lab, random.Random(rig.lab.seed), rig.victim()
    with running(victim):
        for _ in range(rig.times):
            with under_load(lab):
                victim.wait_for_more("snapshot.written", 2 * lab.partitions)
                victim.kill()
                skipped = victim.count("snapshot.skipped")
                damaged = sum(_damage(paths, chance) for paths in _by_folder(victim.snapshots()))
                opened = victim.count("partition.opened")
                victim.start()
                victim.wait_for("partition.opened", opened + lab.partitions)
                assert victim.count("snapshot.skipped") == skipped + damaged
                lab.pass_records(60)
            rig.judge()


def _by_folder(paths: Iterable[Path]) -> list[list[Path]]:
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    return list(folders.values())


def _damage(paths: list[Path], chance: random.Random) -> int:
    """Damage the newest snapshot of a partition or all of them; returns how many."""
    chosen = paths[-1:] if chance.random() < 0.5 else paths
    for path in chosen:
        raw = bytearray(path.read_bytes())
        if chance.random() < 0.5:
            raw = raw[: chance.randrange(len(raw))]
        else:
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        path.write_bytes(raw)
    return len(chosen)
