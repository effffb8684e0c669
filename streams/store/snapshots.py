"""Snapshots: a store saved at an offset, so that a restart replays only what came after.

File ``<offset, 20 digits>.snapshot``: 8 bytes magic, 8 bytes header length, header (JSON: format, context, offset,
seed, aggregate keys, exact values, column names with length), the columns' bytes (a column of nothing but zeros is
left out), and the xxh3-128 of all that. Written to a temporary file, fsync, rename, fsync of the directory; the newest
two are kept. A snapshot that cannot be trusted is skipped: the older one or the log itself takes over.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import numpy as np
import structlog
import xxhash
from numpy.typing import NDArray

from schemas.errors import Reason
from streams.failpoints import failpoint
from streams.store import closed, published, splits
from streams.store.aggregates import AggregateKey, Aggregates
from streams.store.aside import discard_aside
from streams.store.columns import COLUMN_TYPES, Column, Rows
from streams.store.partition_store import PartitionStore
from streams.store.places import Catalog

FORMAT = 8
KEPT = 2
_MAGIC = b"FUSIONSN"
_SUFFIX = ".snapshot"
_TEMPORARY = ".tmp"
_CHECKSUM_BYTES = 16
_AGGREGATE_PREFIX = "aggregate."
_CLOSED = "closed"

log = structlog.get_logger()

Unpublished = tuple[int, str, bytes | None, bytes, int | None]
"""A record that must still go out, with the state it came from: source offset, topic, key, value, fixed partition."""

Late = tuple[tuple[int, Reason], ...]
"""Refusals of one record, by their counters' positions in the batch."""


@dataclass(frozen=True, slots=True)
class Context:
    """What belongs to a store's state besides the store.

    epoch: of the usage topic; catalog_offset: the catalog position that the marks are up to date with;
    settled: the source offset up to which refused and stray input is out; unpublished: what is not. positions
    (topic, partition, offset): from where on derived topics may hold what the store does not know to be published;
    late: refusals that may be out already, by source offset.
    """

    epoch: int
    catalog_offset: int = 0
    settled: int = 0
    unpublished: tuple[Unpublished, ...] = ()
    positions: tuple[tuple[str, int, int], ...] = ()
    late: tuple[tuple[int, Late], ...] = ()


class SnapshotUnusable(Exception):
    """The file is damaged, of another format or of another log."""


_Length = Annotated[int, msgspec.Meta(ge=0)]


class _Version(msgspec.Struct):
    format: int


class _Header(msgspec.Struct):
    format: int
    context: Context
    applied_offset: int
    seed: int
    sequence: int
    keys: list[AggregateKey]
    counted_by: list[tuple[str, str, str | None]]
    treated: list[tuple[str, str, str]]
    first_offset: int
    published: published.Saved
    closed: closed.Saved
    wide: list[tuple[int, str]]
    splits: splits.Saved
    split: list[tuple[str, str, str]]
    rows: _Length
    columns: list[tuple[str, _Length]]


# Made here, before there are threads: partitions are read side by side, and msgspec crashes the process when two
# threads at once ask it for the first time to decode the same types.
_VERSION_DECODER, _HEADER_DECODER = msgspec.json.Decoder(_Version), msgspec.json.Decoder(_Header)


@dataclass(frozen=True, slots=True)
class Image:
    """A consistent copy of a store, taken in one step, that a thread can write while the store goes on."""

    header: _Header
    columns: Mapping[str, Column]


def take(store: PartitionStore, context: Context) -> Image:
    """Copy the store's state; the only pause that a snapshot costs."""
    count = len(store.aggregates)
    used = {name: store.rows.used(name) for name in COLUMN_TYPES}
    columns = {name: column.copy() for name, column in used.items() if column.any()}
    columns |= {_AGGREGATE_PREFIX + name: array[:count].copy() for name, array in store.aggregates.arrays.items()}
    columns[_CLOSED] = store.closed.table.copy()
    header = _Header(
        format=FORMAT,
        context=context,
        applied_offset=store.applied_offset,
        seed=store.seed,
        sequence=store.aggregates.sequence,
        keys=list(store.aggregates.keys),
        counted_by=[(*name, counted) for name, counted in store.distinct.counted_by.items()],
        treated=[(*name, treated) for name, treated in store.screened.treated.items()],
        first_offset=store.first_offset,
        published=published.save(store.published),
        closed=store.closed.save(),
        wide=[(row, str(value)) for row, value in store.wide.items()],
        splits=store.splits.save(),
        split=[(*name, treated) for name, treated in store.splits.treated.items()],
        rows=store.rows.size,
        columns=[(name, len(column)) for name, column in columns.items()],
    )
    return Image(header, columns)


def write(image: Image, directory: Path) -> Path:
    """Write an image durably and delete all but the newest two; blocking, for a thread."""
    directory.mkdir(parents=True, exist_ok=True)
    header = msgspec.json.encode(image.header)
    checksum = xxhash.xxh3_128()
    path = directory / f"{image.header.applied_offset:020d}{_SUFFIX}"
    temporary = path.with_suffix(_TEMPORARY)
    # What a power cut left half written takes up room that this one may need.
    for stale in directory.glob(f"*{_TEMPORARY}"):
        stale.unlink()
    try:
        with temporary.open("wb") as file:
            parts: list[bytes | memoryview] = [_MAGIC, len(header).to_bytes(8, "little"), header]
            for part in parts + [_bytes(column) for column in image.columns.values()]:
                file.write(part)
                checksum.update(part)
                failpoint("snapshot.begun")
            file.write(checksum.digest())
            file.flush()
            failpoint("snapshot.filled")
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    failpoint("snapshot.synced")
    temporary.replace(path)
    failpoint("snapshot.renamed")
    _sync_directory(directory)
    for old in sorted(directory.glob(f"*{_SUFFIX}"))[:-KEPT]:
        old.unlink()
    discard_aside(directory)
    failpoint("snapshot.pruned")
    return path


def load_newest(directory: Path, epoch: int, catalog: Catalog) -> tuple[PartitionStore, Context] | None:
    """Return the store of the newest usable snapshot and its context, or null if there is none."""
    for path in sorted(directory.glob(f"*{_SUFFIX}"), reverse=True):
        try:
            return read(path, epoch, catalog)
        except (SnapshotUnusable, OSError) as error:
            log.warning("snapshot.skipped", path=str(path), error=str(error))
    return None


def read(path: Path, epoch: int, catalog: Catalog) -> tuple[PartitionStore, Context]:
    """Return the store of one snapshot file and its context.

    Raises:
        SnapshotUnusable: damaged, of another format, or of another epoch of the usage topic.
    """
    with path.open("rb") as file:
        checksum = xxhash.xxh3_128()
        header = _header(file, checksum, path.stat().st_size)
        if header.context.epoch != epoch:
            raise SnapshotUnusable(f"is of epoch {header.context.epoch}, this is epoch {epoch}")
        store = PartitionStore(header.seed, catalog)
        store.rows, arrays = _columns(file, checksum, header)
        if file.read() != checksum.digest():
            raise SnapshotUnusable("does not match its checksum")
    store.closed = closed.Closed.load(header.closed, arrays.pop(_CLOSED).view(np.uint64))
    store.rows.fill(header.rows)
    store.applied_offset = header.applied_offset
    store.aggregates = Aggregates.load(header.keys, arrays, header.sequence)
    store.distinct.counted_by = {(service, metric): counted for service, metric, counted in header.counted_by}
    store.screened.treated = {(service, metric): treated for service, metric, treated in header.treated}
    store.first_offset = header.first_offset
    store.published = published.load(header.published)
    store.wide = {row: Decimal(text) for row, text in header.wide}
    store.splits.load(header.splits)
    store.splits.treated = {(service, metric): treated for service, metric, treated in header.split}
    return store, header.context


def _header(file: BinaryIO, checksum: xxhash.xxh3_128, size_bytes: int) -> _Header:
    """Return the header of a file that is as long as its header says; nothing else is certain yet."""
    start = file.read(len(_MAGIC) + 8)
    length = int.from_bytes(start[len(_MAGIC) :], "little")
    if start[: len(_MAGIC)] != _MAGIC or length > size_bytes:
        raise SnapshotUnusable("is no snapshot, or was cut off")
    text = file.read(length)
    try:
        version, header = _VERSION_DECODER.decode(text), None
        if version.format == FORMAT:
            header = _HEADER_DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotUnusable(f"has no header that can be read ({error})") from error
    if header is None:
        raise SnapshotUnusable(f"has format {version.format}, this build reads {FORMAT}")
    body = sum(length * _kind(name).itemsize for name, length in header.columns)
    is_whole = size_bytes == len(start) + len(text) + body + _CHECKSUM_BYTES
    if not is_whole or header.rows != dict(header.columns).get("low", 0):
        raise SnapshotUnusable("was cut off, or its header is damaged")
    checksum.update(start)
    checksum.update(text)
    return header


def _columns(file: BinaryIO, checksum: xxhash.xxh3_128, header: _Header) -> tuple[Rows, dict[str, NDArray[np.int64]]]:
    """Return rows, not indexed yet, and the arrays of the aggregates, read into the memory where they stay."""
    rows = Rows(header.rows)
    arrays = {}
    for name, length in header.columns:
        if name in COLUMN_TYPES:
            column = rows.columns[name][: header.rows]
        else:
            column = arrays[name.removeprefix(_AGGREGATE_PREFIX)] = np.zeros(length, np.int64)
        if len(column) != length or file.readinto(_bytes(column)) != column.nbytes:  # type: ignore[attr-defined]
            raise SnapshotUnusable("was cut off, or its header is damaged")
        checksum.update(_bytes(column))
    return rows, arrays


def _kind(name: str) -> np.dtype[np.generic]:
    return np.dtype(COLUMN_TYPES.get(name, np.int64))


def _bytes(column: Column) -> memoryview:
    return np.ascontiguousarray(column).data.cast("B") if column.size else memoryview(bytearray())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
