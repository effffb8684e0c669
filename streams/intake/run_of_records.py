"""Taking in a run of records at once, as fast as they are in order; equal to taking in one after the other.

A run in which anything deserves a closer look is halved until the record that does stands alone, for `intake`.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from schemas.identifiers import usage_key
from schemas.partitioning import partition_of
from schemas.usage import COUNTERS_MAX
from schemas.wire import checks, lazy
from streams.domain.screening import Metrics, forbids_negative
from streams.intake.column_reader import ColumnReader
from streams.intake.one_record import Intake, take_in
from streams.records import LogRecord
from streams.store.counters import CounterArrays, Integers, encoded, merged, recoded
from streams.store.fixed_point import to_fixed
from streams.store.screened import negative_names

_Records = Sequence[LogRecord]
_Batches = Sequence[lazy.LazyBatch]


@dataclass(slots=True)
class Taken:
    """What a run comes to: counters in the log's order, and what `intake` says of the records that had more to them."""

    counters: list[CounterArrays] = field(default_factory=list)
    intakes: list[tuple[LogRecord, Intake]] = field(default_factory=list)


def take_in_run(records: Sequence[LogRecord], topic: str, partitions: int, catalog: Metrics) -> Taken:
    """Decode, check and sort consecutive records of one partition of `topic`; never raises for bad input."""
    taken = Taken()
    runs = [records]
    while runs:
        run = runs.pop()
        counters = _quickly(run, partitions, catalog)
        if counters is not None:
            taken.counters.append(counters)
        elif len(run) > 1:
            runs += [run[len(run) // 2 :], run[: len(run) // 2]]
        else:
            intake = take_in(run[0], topic, partitions, catalog)
            taken.intakes.append((run[0], intake))
            if intake.counters is not None and len(intake.counters):
                taken.counters.append(CounterArrays.of(intake.counters, run[0].offset))
    return taken


def _quickly(records: Sequence[LogRecord], partitions: int, catalog: Metrics) -> CounterArrays | None:
    """Return the counters of records in which everything is well and at home; null if there is any doubt."""
    try:
        batches = [lazy.read(record.value or b"") for record in records]
        counters = merged([_arrays(*run) for run in _runs(records, batches)])
    except (msgspec.DecodeError, ValueError, IndexError, RecursionError):
        return None
    here = records[0].partition
    if any(partition_of(usage_key(*owner), partitions) != here for owner in counters.owners):
        return None
    return None if _is_forbidden(counters, catalog) else counters


def _is_forbidden(counters: CounterArrays, catalog: Metrics) -> bool:
    """Tell whether any counter is negative that must not be."""
    return any(forbids_negative(catalog, service, code) for service, code in negative_names(counters))


def _runs(records: _Records, batches: _Batches) -> Iterator[tuple[_Records, _Batches]]:
    """Cut where columns and objects follow each other."""
    start = 0
    for _, group in itertools.groupby([batch.columns is msgspec.UNSET for batch in batches]):
        end = start + len(list(group))
        yield records[start:end], batches[start:end]
        start = end


def _arrays(records: _Records, batches: _Batches) -> CounterArrays:
    if batches[0].columns is msgspec.UNSET:
        return _from_rows(records, batches)
    reader = ColumnReader(sum([len(record.value or b"") for record in records]), COUNTERS_MAX)
    for record, batch in zip(records, batches, strict=True):
        reader.add(record, batch)
    return reader.counters()


def _from_rows(records: _Records, batches: _Batches) -> CounterArrays:
    rows = lazy.rows_of([record.value or b"" for record in records], batches)
    owner, owners = _owners(rows)
    metrics: dict[str, int] = {}
    periods: dict[tuple[str, str], int] = {}
    keys, key_sizes = encoded(rows.keys)
    quantity, wide = to_fixed(rows.quantities)
    return CounterArrays(
        owner=owner,
        metric=recoded(rows.metrics, metrics),
        period=recoded(rows.periods, periods),
        owners=owners,
        metrics=list(metrics),
        periods=[checks.interval(start, end) for start, end in periods],
        keys=keys,
        key_sizes=key_sizes,
        quantity=quantity,
        wide=wide,
        revision=np.array(rows.revisions, np.int64),
        source=np.repeat(np.array([record.offset for record in records], np.int64), rows.sizes),
        properties=rows.properties,
    )


def _owners(rows: lazy.Rows) -> tuple[Integers, list[tuple[str, str]]]:
    """Return each counter's owner and their dictionary."""
    services = list(dict.fromkeys(rows.services))
    if len(services) == 1:
        names: dict[str, int] = {}
        numbers = recoded(rows.subscriptions, names)
        return numbers, [(services[0], name) for name in names]
    owners: dict[tuple[str, str], int] = {}
    of_row = [name for name, size in zip(rows.services, rows.sizes, strict=True) for _ in range(size)]
    return recoded(list(zip(of_row, rows.subscriptions, strict=True)), owners), list(owners)
