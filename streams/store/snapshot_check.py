"""What the snapshots of a data directory are, and whether they are what was written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash

from streams.store import snapshots
from streams.store.aside import ASIDE

_CHUNK_BYTES = 1 << 20
_CHECKSUM_BYTES = 16
_PLACE = re.compile(r"epoch-(\d+)/partition-(\d+)/(aside/)?(\d+)\.snapshot\Z")


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """One file; `problem` is null if nothing is wrong, as far as was looked; rows and aggregates null if unreadable."""

    path: Path
    epoch: int
    partition: int
    offset: int
    is_aside: bool
    size_bytes: int
    rows: int | None = None
    aggregates: int | None = None
    problem: str | None = None


def snapshot_facts(directory: Path, *, whole: bool) -> Iterator[SnapshotFacts]:
    """Yield the snapshots below a data directory, by epoch, partition and offset.

    Args:
        directory: of one worker.
        whole: read each to its end and compare its checksum; else its header only.
    """
    found = [
        (place, path) for path in directory.rglob("*.snapshot") if (place := _PLACE.search(path.as_posix())) is not None
    ]
    for place, path in sorted(found, key=lambda each: [int(each[0][n]) for n in (1, 2, 4)]):
        yield _facts(path, place, whole=whole)


def _facts(path: Path, place: re.Match[str], *, whole: bool) -> SnapshotFacts:
    epoch, partition, offset = (int(place[number]) for number in (1, 2, 4))
    is_aside = path.parent.name == ASIDE
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        return SnapshotFacts(path, epoch, partition, offset, is_aside, 0, problem=str(error))
    rows = aggregates = problem = None
    try:
        with path.open("rb") as file:
            header = snapshots._header(file, xxhash.xxh3_128(), size_bytes)  # noqa: SLF001 -- the same format
        rows, aggregates = header.rows, len(header.keys)
        if (header.applied_offset, header.context.epoch) != (offset, epoch):
            problem = f"is of epoch {header.context.epoch}, offset {header.applied_offset}"
        elif whole and not _matches_its_checksum(path, size_bytes):
            problem = "does not match its checksum"
    except (snapshots.SnapshotUnusable, OSError) as error:
        problem = str(error)
    return SnapshotFacts(path, epoch, partition, offset, is_aside, size_bytes, rows, aggregates, problem)


def _matches_its_checksum(path: Path, size_bytes: int) -> bool:
    checksum, remaining = xxhash.xxh3_128(), size_bytes - _CHECKSUM_BYTES
    with path.open("rb") as file:
        while remaining > 0 and (chunk := file.read(min(_CHUNK_BYTES, remaining))):
            checksum.update(chunk)
            remaining -= len(chunk)
        return file.read() == checksum.digest()
