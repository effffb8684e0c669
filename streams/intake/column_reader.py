"""Batches in columns, one after the other into the same arrays."""

from typing import Any

import numpy as np
from msgspec import UNSET

from schemas.wire import checks, fast
from schemas.wire.lazy import LazyBatch, LazyColumns, check_columns, check_strings
from streams.intake import json_columns
from streams.records import LogRecord
from streams.store.counters import CounterArrays, Integers, merged, recoded
from streams.store.fixed_point import WHOLE_MAX

_NONE = np.empty(0, np.uint8)
# A counter takes at least this much JSON: `,0,0,0,0,"k"`.
_COUNTER_BYTES_MIN = 11


class ColumnReader:
    """Collects the counters of records in columns; `size_bytes` is what all their values together have at most."""

    def __init__(self, size_bytes: int, counters_max: int) -> None:
        room = size_bytes // _COUNTER_BYTES_MIN + 1
        self._counters_max = counters_max
        self._service = ""
        self._names: dict[str, int] = {}
        self._metrics: dict[str, int] = {}
        self._periods: dict[tuple[int, int], int] = {}
        self._out = tuple(np.empty(room, np.int64) for _ in range(6))
        self._keys = np.empty(size_bytes, np.uint8)
        self._source = np.empty(room, np.int64)
        self._properties: list[dict[str, Any] | None] = []
        self._has_properties = False
        self._first = self._size = self._first_byte = self._bytes = 0
        self._parts: list[CounterArrays] = []

    def add(self, record: LogRecord, batch: LazyBatch) -> None:
        """Read one more record.

        Raises:
            msgspec.DecodeError, ValueError, IndexError, RecursionError: it deserves a closer look.
        """
        columns, value = batch.columns, record.value or b""
        if columns is UNSET:
            raise ValueError("not in columns")
        check_columns(batch, columns)
        if batch.service != self._service:
            self._cut()
            self._service, self._names = batch.service, {}
        if not value.isascii():
            value.decode()  # The decoder looks into no string that it skips.
        count, end = self._read(columns)
        if count < 0:
            # Fractions, texts with escapes: ordinary, but nothing for the compiled reader.
            self._cut()
            self._parts.append(CounterArrays.of(fast.decode(value), record.offset))
            return
        if count > self._counters_max:
            raise ValueError("too many counters")
        check_strings(value, batch, columns, count)
        properties = checks.properties(columns.properties, count)
        self._has_properties |= properties is not None
        self._properties += properties or [None] * count
        self._source[self._size : self._size + count] = record.offset
        self._size, self._bytes = self._size + count, end

    def counters(self) -> CounterArrays:
        """Return all that was read, in order."""
        self._cut()
        return merged(self._parts)

    def _read(self, columns: LazyColumns) -> tuple[int, int]:
        raws = (
            _bytes(columns.subscription),
            _bytes(columns.metric),
            _bytes(columns.period),
            _bytes(columns.quantities),
            _NONE if columns.revisions is UNSET else _bytes(columns.revisions),
            _bytes(columns.keys),
        )
        maps = (
            self._owner_numbers(columns.subscriptions),
            recoded(columns.metrics, self._metrics),
            recoded([checks.interval(start, end) for start, end in columns.periods], self._periods),
        )
        out = (*self._out, self._keys)
        found: tuple[int, int] = json_columns.read_columns(raws, maps, WHOLE_MAX, out, self._size, self._bytes)
        return found

    def _owner_numbers(self, names: list[str]) -> Integers:
        """Return each name's number; those that are new are checked."""
        known = len(self._names)
        numbers = recoded(names, self._names)
        if len(self._names) > known:
            checks.check_ids(list(self._names)[known:])
        return numbers

    def _cut(self) -> None:
        """Make what was read since the last cut a part of its own."""
        if self._size == self._first:
            return
        owner, metric, period, quantity, revision, key_sizes = (
            each[self._first : self._size] for each in self._out[:6]
        )
        self._parts.append(
            CounterArrays(
                owners=[(self._service, name) for name in self._names],
                metrics=list(self._metrics),
                periods=list(self._periods),
                owner=owner,
                metric=metric,
                period=period,
                keys=self._keys[self._first_byte : self._bytes],
                key_sizes=key_sizes,
                quantity=quantity,
                wide={},
                revision=revision,
                source=self._source[self._first : self._size],
                properties=self._properties if self._has_properties else None,
            )
        )
        self._first, self._first_byte, self._properties, self._has_properties = self._size, self._bytes, [], False


def _bytes(raw: Any) -> Any:
    return np.frombuffer(raw, np.uint8)
