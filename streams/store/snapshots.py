"""Snapshots: a store saved at an offset, so that a restart replays only what came after.

File ``<offset, 20 digits>.snapshot``: 8 bytes magic, 8 bytes header length, header (JSON: format, context, offset,
seed, aggregate keys, exact values, column names with length), the columns' bytes, and the
xxh3-128 of all that. Written to a temporary file, fsync, rename, fsync of the directory; the newest two are kept. A
snapshot that cannot be trusted is skipped: the older one or the log itself takes over.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import structlog
import xxhash

from streams.failpoints import failpoint
from streams.store.aggregates import AggregateKey, Aggregates
from streams.store.columns import COLUMN_TYPES, Column, Rows
from streams.store.partition_store import Catalog, PartitionStore

FORMAT = 2
KEPT = 2
_MAGIC = b"FUSIONSN"
_SUFFIX = ".snapshot"
_CHECKSUM_BYTES = 16
_AGGREGATE_PREFIX = "aggregate."

log = structlog.get_logger()

Unpublished = tuple[int, str, bytes | None, bytes, int | None]
"""A record that must still go out, with the state it came from: source offset, topic, key, value, fixed partition."""


@dataclass(frozen=True, slots=True)
class Context:
    """What belongs to a store's state besides the store.

    epoch: of the usage topic; catalog_offset: the catalog position that the marks are up to date with;
    settled: the source offset up to which refused and stray input is out; unpublished: what is not.
    """

    epoch: int
    catalog_offset: int = 0
    settled: int = 0
    unpublished: tuple[Unpublished, ...] = ()


class SnapshotUnusable(Exception):
    """The file is damaged, of another format or of another log."""


class _Header(msgspec.Struct):
    format: int
    context: Context
    applied_offset: int
    seed: int
    sequence: int
    keys: list[AggregateKey]
    counted_by: list[tuple[str, str, str | None]]
    billed: list[tuple[tuple[str, str, str, int], dict[str, str]]]
    wide: list[tuple[int, str]]
    columns: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Image:
    """A consistent copy of a store, taken in one step, that a thread can write while the store goes on."""

    header: _Header
    columns: Mapping[str, Column]


def take(store: PartitionStore, context: Context) -> Image:
    """Copy the store's state; the only pause that a snapshot costs."""
    count = len(store.aggregates)
    columns = {name: store.rows.used(name).copy() for name in COLUMN_TYPES}
    columns |= {_AGGREGATE_PREFIX + name: array[:count].copy() for name, array in store.aggregates.arrays.items()}
    header = _Header(
        format=FORMAT,
        context=context,
        applied_offset=store.applied_offset,
        seed=store.seed,
        sequence=store.aggregates.sequence,
        keys=list(store.aggregates.keys),
        counted_by=[(*name, counted) for name, counted in store.counted_by.items()],
        billed=list(store.billed.items()),
        wide=[(row, str(value)) for row, value in store.wide.items()],
        columns=[(name, len(column)) for name, column in columns.items()],
    )
    return Image(header, columns)


def write(image: Image, directory: Path) -> Path:
    """Write an image durably and delete all but the newest two; blocking, for a thread."""
    directory.mkdir(parents=True, exist_ok=True)
    header = msgspec.json.encode(image.header)
    checksum = xxhash.xxh3_128()
    path = directory / f"{image.header.applied_offset:020d}{_SUFFIX}"
    temporary = path.with_suffix(".tmp")
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
    failpoint("snapshot.synced")
    temporary.replace(path)
    failpoint("snapshot.renamed")
    _sync_directory(directory)
    for old in sorted(directory.glob(f"*{_SUFFIX}"))[:-KEPT]:
        old.unlink()
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
    data = memoryview(path.read_bytes())
    header, body = _checked(data)
    if header.context.epoch != epoch:
        raise SnapshotUnusable(f"is of epoch {header.context.epoch}, this is epoch {epoch}")
    columns, position = {}, 0
    for name, length in header.columns:
        kind = np.dtype(COLUMN_TYPES.get(name, np.int64))
        size = length * kind.itemsize
        columns[name] = np.frombuffer(body[position : position + size], kind)
        position += size
    store = PartitionStore(header.seed, catalog)
    store.applied_offset = header.applied_offset
    store.rows = Rows.load({name: columns[name] for name in COLUMN_TYPES})
    arrays = {
        name.removeprefix(_AGGREGATE_PREFIX): column.astype(np.int64)
        for name, column in columns.items()
        if name.startswith(_AGGREGATE_PREFIX)
    }
    store.aggregates = Aggregates.load(header.keys, arrays, header.sequence)
    store.counted_by = {(service, metric): counted for service, metric, counted in header.counted_by}
    store.billed = dict(header.billed)
    store.wide = {row: Decimal(text) for row, text in header.wide}
    return store, header.context


def _checked(data: memoryview) -> tuple[_Header, memoryview]:
    """Return header and columns of a whole file, if it is what was written."""
    if len(data) < len(_MAGIC) + 8 + _CHECKSUM_BYTES or data[: len(_MAGIC)] != _MAGIC:
        raise SnapshotUnusable("is no snapshot, or was cut off")
    if xxhash.xxh3_128_digest(data[:-_CHECKSUM_BYTES]) != data[-_CHECKSUM_BYTES:]:
        raise SnapshotUnusable("does not match its checksum")
    start = len(_MAGIC) + 8
    length = int.from_bytes(data[len(_MAGIC) : start], "little")
    try:
        header = msgspec.json.decode(data[start : start + length], type=_Header)
    except msgspec.DecodeError as error:
        raise SnapshotUnusable(f"has a header of another format ({error})") from error
    if header.format != FORMAT:
        raise SnapshotUnusable(f"has format {header.format}, this build reads {FORMAT}")
    return header, data[start + length : -_CHECKSUM_BYTES]


def _bytes(column: Column) -> memoryview:
    return np.ascontiguousarray(column).data.cast("B") if column.size else memoryview(b"")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
