"""Snapshots put aside for a rebuild: out of the meter's sight, kept until a newer one has taken their place."""

import shutil
from pathlib import Path

ASIDE = "aside"
_PATTERN = "*.snapshot"


def put_aside(directory: Path) -> list[Path]:
    """Move a partition's snapshots aside and return where they are now."""
    found = sorted(directory.glob(_PATTERN))
    if not found:
        return []
    target = directory / ASIDE
    target.mkdir(exist_ok=True)
    return [path.replace(target / path.name) for path in found]


def discard_aside(directory: Path) -> bool:
    """Delete what was put aside once a newer snapshot is there; tell whether that was done.

    A snapshot's name is its offset, so names compare as ages.
    """
    aside = sorted((directory / ASIDE).glob(_PATTERN))
    newest = max((path.name for path in directory.glob(_PATTERN)), default="")
    if not aside or newest < aside[-1].name:
        return False
    shutil.rmtree(directory / ASIDE, ignore_errors=True)
    return True
