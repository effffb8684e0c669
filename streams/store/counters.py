"""Checked counters of many records as arrays: what one step of the store takes in."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.wire import CounterColumns
from streams.store.fixed_point import from_fixed, to_fixed
from streams.store.kernels import PLACE_BITS

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CounterArrays:
    """Counters in the log's order; the plural lists are dictionaries that the singular arrays index.

    `owners` holds (service, subscription), `periods` (start, end) in microseconds since 1970 UTC; `keys` the bytes of
    all keys one after the other, `key_sizes` their lengths; `quantity` at the fixed scale, with `wide` by position
    for those that do not fit; `properties` null means none anywhere; `source` is the offset each counter came with.
    """

    owners: Sequence[tuple[str, str]]
    metrics: Sequence[str]
    periods: Sequence[tuple[int, int]]
    owner: Integers
    metric: Integers
    period: Integers
    keys: Bytes
    key_sizes: Integers
    quantity: Integers
    wide: dict[int, Decimal]
    revision: Integers
    source: Integers
    properties: Sequence[dict[str, Any] | None] | None = None

    def __len__(self) -> int:
        """Number of counters."""
        return len(self.key_sizes)

    def codes_at(self, positions: Integers) -> tuple[list[int], list[int]]:
        """Return the owner's and the metric's number of the counters at these positions."""
        return self.owner[positions].tolist(), self.metric[positions].tolist()

    def places(self) -> Integers:
        """Return where in the log each counter came: comparable, `PLACE_BITS` for the position in its record."""
        position = np.arange(len(self))
        starts = np.flatnonzero(np.diff(self.source, prepend=-1))
        position -= np.repeat(starts, np.diff(starts, append=len(self)))
        places: Integers = (self.source << PLACE_BITS) + position
        return places

    def exact_quantity(self, position: int) -> Decimal:
        """Return a counter's quantity as a decimal."""
        found = self.wide.get(position)
        return from_fixed(int(self.quantity[position])) if found is None else found

    @classmethod
    def of(cls, counters: CounterColumns, source: int | Integers) -> "CounterArrays":
        """Return the counters of one service as arrays; `source` one offset for all, or one for each."""
        size = len(counters)
        keys, key_sizes = encoded(counters.keys)
        quantity, wide = to_fixed(counters.quantities)
        return cls(
            owners=[(counters.service, name) for name in counters.subscriptions],
            metrics=counters.metrics,
            periods=counters.periods,
            owner=np.array(counters.subscription, np.int64),
            metric=np.array(counters.metric, np.int64),
            period=np.array(counters.period, np.int64),
            keys=keys,
            key_sizes=key_sizes,
            quantity=quantity,
            wide=wide,
            revision=np.array(counters.revisions, np.int64) if counters.revisions else np.zeros(size, np.int64),
            source=np.full(size, source) if isinstance(source, int) else source,
            properties=counters.properties,
        )


def encoded(texts: Sequence[str]) -> tuple[Bytes, Integers]:
    """Return the UTF-8 of texts, one after the other, and the length of each in bytes."""
    joined = "".join(texts)
    if joined.isascii():
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        return np.frombuffer(joined.encode(), np.uint8), sizes
    parts = [text.encode() for text in texts]
    return np.frombuffer(b"".join(parts), np.uint8), np.fromiter(map(len, parts), np.int64, len(parts))


def merged(parts: Sequence[CounterArrays]) -> CounterArrays:
    """Return the counters of all parts, in this order, under common dictionaries."""
    if len(parts) == 1:
        return parts[0]
    owners: dict[tuple[str, str], int] = {}
    metrics: dict[str, int] = {}
    periods: dict[tuple[int, int], int] = {}
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    properties: list[dict[str, Any] | None] | None = None
    if any(part.properties for part in parts):
        properties = [each for part in parts for each in part.properties or [None] * len(part)]
    return CounterArrays(
        owner=np.concatenate([recoded(part.owners, owners)[part.owner] for part in parts]),
        metric=np.concatenate([recoded(part.metrics, metrics)[part.metric] for part in parts]),
        period=np.concatenate([recoded(part.periods, periods)[part.period] for part in parts]),
        owners=list(owners),
        metrics=list(metrics),
        periods=list(periods),
        keys=np.concatenate([part.keys for part in parts]),
        key_sizes=np.concatenate([part.key_sizes for part in parts]),
        quantity=np.concatenate([part.quantity for part in parts]),
        wide={start + at: value for start, part in zip(starts, parts, strict=False) for at, value in part.wide.items()},
        revision=np.concatenate([part.revision for part in parts]),
        source=np.concatenate([part.source for part in parts]),
        properties=properties,
    )


def recoded(names: Sequence[Any], numbers: dict[Any, int]) -> Integers:
    """Return each name's number in the common dictionary, which takes in the new ones."""
    return np.fromiter([numbers.setdefault(name, len(numbers)) for name in names], np.int64, len(names))
