"""What a live store holds at one offset, small enough to copy between two records, and its comparison with a replay."""

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.money import format_decimal
from schemas.wire import from_micros
from streams.store.aggregates import UNASSIGNED, AggregateKey, Aggregates
from streams.store.fixed_point import from_fixed
from streams.store.partition_store import PartitionStore
from streams.store.published import Name

LENGTH_BYTES = 8
_ARRAYS = ("sum_high", "sum_low", "count")


class Image(msgspec.Struct):
    """Keys, sums and counts of a store's aggregates after record `applied_offset`, under the catalog before an offset.

    Sum and count say how every row was counted, whatever the metric makes of them. Arrays as bytes of 64-bit integers.
    refused: aggregates that late counters would have changed, had they not been refused.
    """

    partition: int
    partitions: int
    applied_offset: int
    catalog_offset: int
    keys: list[AggregateKey]
    arrays: list[bytes]
    refused: list[Name] = []


class Difference(msgspec.Struct):
    """One aggregate that the live store holds otherwise than the log says."""

    key: str
    expected: str
    found: str


class Comparison(msgspec.Struct):
    """What an audit of one store came to; `beyond`: of these the log cannot tell.

    Counters of them may have left it, or late ones were refused.
    """

    compared: int
    beyond: int
    drift: list[Difference]


def framed(message: Image | Comparison) -> bytes:
    """Return a message as it travels between the meter and the audit's process: its length, then itself."""
    content = msgspec.msgpack.encode(message)
    return len(content).to_bytes(LENGTH_BYTES) + content


def take(partition: int, partitions: int, store: PartitionStore, catalog_offset: int) -> Image:
    """Copy what is compared; the only pause that a continuous audit costs the stream."""
    aggregates = store.aggregates
    return Image(
        partition=partition,
        partitions=partitions,
        applied_offset=store.applied_offset,
        catalog_offset=catalog_offset,
        keys=list(aggregates.keys),
        arrays=[aggregates.arrays[name][: len(aggregates)].tobytes() for name in _ARRAYS],
        refused=sorted(store.closed.refused),
    )


def compare(image: Image, replayed: Aggregates, starts_at: int | None) -> Comparison:
    """Compare an image with the aggregates of a replay of the same records.

    Args:
        image: of the live store.
        replayed: what the log says.
        starts_at: time of the log's first record (microseconds since 1970 UTC) if the log does not reach back to the
            first record of all: of periods that began before, nothing can be said. Null if it does.
    """
    live, log, refused = dict(_of_image(image)), dict(_of_aggregates(replayed)), set(image.refused)
    comparison = Comparison(0, 0, [])
    for name in live.keys() | log.keys():
        expected, found = log.get(name, _EMPTY), live.get(name, _EMPTY)
        is_beyond = name in refused or (starts_at is not None and name[3] < starts_at)
        if is_beyond and expected != found:
            comparison.beyond += 1
            continue
        comparison.compared += 1
        if expected != found:
            comparison.drift.append(Difference(_shown(name), _says(expected), _says(found)))
    comparison.drift.sort(key=lambda each: each.key)
    return comparison


_Facts = tuple[int, int]  # the exact sum at the fixed scale, the number of counters
_EMPTY = (0, 0)


def _of_image(image: Image) -> Iterator[tuple[Name, _Facts]]:
    return _facts(image.keys, [np.frombuffer(array, np.int64) for array in image.arrays])


def _of_aggregates(aggregates: Aggregates) -> Iterator[tuple[Name, _Facts]]:
    return _facts(aggregates.keys, [aggregates.arrays[name][: len(aggregates)] for name in _ARRAYS])


def _facts(keys: list[AggregateKey], arrays: list[NDArray[np.int64]]) -> Iterator[tuple[Name, _Facts]]:
    rows = zip(keys, *(array.tolist() for array in arrays), strict=True)
    return ((key[:4], ((high << 32) + low, count)) for key, high, low, count in rows if count or high or low)


def _shown(name: Name) -> str:
    start = "no period yet" if name[3] == UNASSIGNED else f"{from_micros(name[3]):%FT%TZ}"
    return "/".join((*name[:3], start))


def _says(facts: _Facts) -> str:
    return f"{format_decimal(from_fixed(facts[0]))} of {facts[1]}"
