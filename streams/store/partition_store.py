"""State of one source partition: a deterministic function of a prefix of the usage log, kept in memory.

It knows the offset of the last record it has applied; whoever feeds it skips what is not newer and fills gaps first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import xxhash

from schemas.catalog import Aggregation
from schemas.wire import CounterColumns
from streams.domain.splitting import splits
from streams.store import closing, kernels, reassigning, totals
from streams.store.aggregates import UNASSIGNED, AggregateKey, Aggregates
from streams.store.closed import Closed
from streams.store.columns import Column, RowBatch, Rows
from streams.store.counters import CounterArrays
from streams.store.distinct import Distinct
from streams.store.hashing import key_hashes
from streams.store.metrics_at import MetricsAt
from streams.store.places import Catalog, Places, Span
from streams.store.published import Published
from streams.store.screened import Screened
from streams.store.splits import Splits, moves_of

_SUM = Aggregation.SUM
_NOWHERE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Applied:
    """What counters did: inserted, replaced, resent unchanged, superseded.

    straddling: how many reach over a period's end and count at their start; split: how many are divided there.
    """

    inserted: int = 0
    replaced: int = 0
    duplicates: int = 0
    superseded: int = 0
    straddling: int = 0
    split: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Counters on their way into the store: nothing of them is counted yet.

    spans: by position, what those reach into that are to be split. late: positions of those that cannot be counted
    without rows that were dropped.
    """

    counters: CounterArrays
    batch: RowBatch
    straddling: int
    spans: Mapping[int, Span]
    late: Column


@dataclass(frozen=True, slots=True)
class _Homes:
    """Where counters belong; `length` 0 where none splits; `numbers` of all aggregates that hold a counter's start."""

    aggregate: Column
    length: Column
    straddling: int
    spans: Mapping[int, Span]
    numbers: list[int]


class PartitionStore:
    """Rows and aggregates of one partition. Not thread-safe; its owner's event loop is the only writer."""

    def __init__(self, seed: int, catalog: Catalog) -> None:
        self.seed = seed
        self.applied_offset = -1
        self.rows = Rows()
        self.wide: dict[int, Decimal] = {}
        self.distinct = Distinct(seed, catalog)
        self.screened = Screened()
        self.published = Published()
        self.closed = Closed()
        self.splits = Splits()
        # The first record it was made from. The log has held older ones that it does not know, unless this is 0.
        self.first_offset = 0
        self._catalog = catalog
        self._salt = np.uint64(xxhash.xxh3_64_intdigest(b"pairs", seed) | 1)
        self.aggregates = Aggregates()

    @property
    def aggregates(self) -> Aggregates:
        """The aggregates; setting them starts the search for a counter's aggregate anew."""
        return self._aggregates

    @aggregates.setter
    def aggregates(self, aggregates: Aggregates) -> None:
        self._aggregates = aggregates
        self._places = Places(self._catalog, aggregates)

    def apply(self, offset: int, counters: CounterColumns | None) -> Applied:
        """Apply one record, good counters only (null: none), in one step; `offset` must follow the last one.

        Returns what happened. Duplicates change nothing; a replaced counter leaves its former aggregate.
        """
        if counters is None or not len(counters):
            self.applied_offset = offset
            return Applied()
        return self.apply_arrays(offset, CounterArrays.of(counters, offset))

    def apply_arrays(self, last_offset: int, counters: CounterArrays) -> Applied:
        """Apply the counters of all records up to `last_offset`, in one step; equal to applying each by itself."""
        return self.apply_prepared(last_offset, self.prepare(counters))

    def prepare(self, counters: CounterArrays) -> Prepared:
        """Find out where counters belong, and which of them are late; changes no row and no total."""
        pair, pair_at = self._combined(counters.owner, counters.metric, len(counters.metrics))
        metrics = MetricsAt.of(counters, pair_at, self._catalog)
        homes = self._homes(counters, pair, metrics)
        self.splits.note(metrics.by_name)
        low, high = key_hashes(counters, pair, pair_at, self.seed)
        periods = np.array([start for start, _ in counters.periods], np.int64)
        batch = RowBatch(
            low=low,
            high=high,
            aggregate=homes.aggregate,
            quantity=counters.quantity,
            revision=counters.revision,
            time=periods[counters.period] if len(counters) else periods,
            place=counters.places(),
            distinct=self.distinct.column(counters, pair, metrics),
            length=homes.length,
        )
        return Prepared(counters, batch, homes.straddling, homes.spans, self._late(batch, homes.numbers))

    def apply_prepared(self, last_offset: int, prepared: Prepared) -> Applied:
        """Apply what `prepare` has returned since the store's periods were changed last; none of it may be late."""
        counters = prepared.counters
        applied = Applied()
        if len(counters):
            inserted, replaced, duplicates, superseded = self._upsert(prepared)
            straddling, split = prepared.straddling, len(prepared.spans)
            applied = Applied(inserted, replaced, duplicates, superseded, straddling, split)
        self.screened.note_allowed(counters)
        self.applied_offset = last_offset
        return applied

    def totals(self, numbers: Iterable[int]) -> dict[int, Decimal]:
        """Return the exact totals of aggregates whose metric is known, by number.

        Left out is what takes rows that were dropped: the store has to be made anew.
        """
        kinds = self._kinds(numbers)
        found = totals.totals(self.rows, self.aggregates, self.wide, kinds, self.closed.bases)
        return found | self.splits.added_to({number: found[number] for number in found if kinds[number] is _SUM})

    def close(self, numbers: Sequence[int]) -> Iterator[None]:
        """Drop the rows of these aggregates, whose metrics are known, without changing any total.

        In steps of a few ten milliseconds, one for each iteration. Everything takes effect in the last one; until
        then nothing else may change the store, or the iteration has to be given up.
        """
        yield from closing.close(self, self._kinds(numbers))

    def carry(self, former: "PartitionStore", numbers: Sequence[int]) -> None:
        """Keep closed aggregates of a former store whose counters the log has lost."""
        closing.carry(self, former, former._kinds(numbers))  # noqa: SLF001 -- the same class

    def outdated(self) -> set[tuple[str, str]]:
        """Return (service, metric) of what the store cannot tell any more; it must be made anew from the log."""
        outdated = self.distinct.outdated() | self.screened.outdated(self._catalog)
        return outdated | self.splits.outdated(self._catalog)

    def used_bytes(self) -> int:
        """Bytes held by rows, their index, what is left of dropped rows and what split rows move."""
        return self.rows.used_bytes() + self.closed.table.nbytes + self.splits.used_bytes()

    def is_settled(self, key: AggregateKey) -> bool:
        """Tell whether an aggregate's period is the one the catalog gives it now."""
        return self._places.is_settled(key)

    def reassign(self, numbers: Iterable[int]) -> None:
        """Put the counters of these aggregates into the periods of the catalog as it is now."""
        self._places.forget()
        moving = {number for number in numbers if not self.is_settled(self.aggregates.keys[number])}
        if moving:
            reassigning.reassign(self, self._places, moving)

    def reassign_subscription(self, service: str, subscription: str) -> None:
        """Take over a change of a subscription's periods."""
        self.reassign(self.aggregates.of_subscription(service, subscription))

    def _kinds(self, numbers: Iterable[int]) -> dict[int, Aggregation]:
        kinds = {}
        for number in numbers:
            key = self.aggregates.keys[number]
            metric = self._catalog.metric(key.service, key.metric)
            if metric is not None:
                kinds[number] = metric.aggregation
        return kinds

    def _late(self, batch: RowBatch, numbers: Iterable[int]) -> Column:
        if not self.closed.bases:
            return _NOWHERE
        late = self.closed.knows(batch.high)
        if whole := [number for number in numbers if self.closed.needs_rows(number)]:
            late |= np.isin(batch.aggregate, whole)
        return np.flatnonzero(late)

    def _upsert(self, prepared: Prepared) -> list[int]:
        """Bring a batch into rows and aggregates; return how many counters had each status, in their order."""
        batch, wide = prepared.batch, prepared.counters.wide
        size, rows = len(batch.low), self.rows
        rows.reserve(size)
        status, row = np.empty(size, np.int8), np.empty(size, np.int64)
        rows.size, self.aggregates.sequence = kernels.upsert(
            rows.slots,
            rows.former,
            tuple(rows.columns.values()),
            tuple(self.aggregates.arrays.values()),
            rows.size,
            self.aggregates.sequence,
            tuple(batch),
            status,
            row,
        )
        rows.extremes.note(row[status & kernels.STATUS == kernels.REPLACED], rows.size)
        if wide or self.wide:
            self._keep_wide(status, row, wide)
        if prepared.spans or self.splits.of_row:
            self._keep_splits(status, row, prepared)
        counts: list[int] = np.bincount(status & kernels.STATUS, minlength=kernels.STATUSES).tolist()
        return counts

    def _keep_wide(self, status: Column, row: Column, wide: dict[int, Decimal]) -> None:
        """Follow the kernel for values that do not fit its columns, in the batch's order."""
        left = np.flatnonzero(status & kernels.WAS_WIDE)
        for position in np.union1d(left, np.fromiter(wide, np.int64, len(wide))).tolist():
            # A duplicate, too: what its metric counts is the same, the value itself need not be.
            if status[position] & kernels.STATUS != kernels.SUPERSEDED:
                number = int(row[position])
                self.wide.pop(number, None)
                if position in wide:
                    self.wide[number] = wide[position]

    def _keep_splits(self, status: Column, row: Column, prepared: Prepared) -> None:
        """Follow the kernel for rows that are or were split, in the batch's order."""
        spans, batch, wide = prepared.spans, prepared.batch, prepared.counters.wide
        left = np.flatnonzero(status & kernels.HAD_LENGTH)
        for position in np.union1d(left, np.fromiter(spans, np.int64, len(spans))).tolist():
            if status[position] & kernels.STATUS in (kernels.DUPLICATE, kernels.SUPERSEDED):
                continue
            number, offset = int(row[position]), int(batch.place[position]) >> kernels.PLACE_BITS
            self.splits.drop(number, self.aggregates, offset)
            if span := spans.get(position):
                moves = moves_of(span, int(batch.quantity[position]), wide.get(position))
                self.splits.put(number, moves, self.aggregates, offset)

    def _homes(self, counters: CounterArrays, pair: Column, metrics: MetricsAt) -> _Homes:
        """Return where counters belong."""
        place, place_at = self._combined(pair, counters.period, len(counters.periods))
        splitting = [splits(metric) for metric in metrics.of_pair]
        if not any(splitting):
            splitting = []
        numbers: list[int] = []
        straddles: list[bool] = []
        lengths, spans = np.zeros(len(place_at), np.int64), {}
        periods, pairs = counters.period[place_at].tolist(), pair[place_at].tolist()
        for owner, metric, period, of_pair in zip(*counters.codes_at(place_at), periods, pairs, strict=True):
            start, end = counters.periods[period]
            triple = (*counters.owners[owner], counters.metrics[metric])
            number, _, period_end = self._places.locate(*triple, start)
            is_straddling = period_end != UNASSIGNED and end > period_end
            if splitting and splitting[of_pair]:
                lengths[len(numbers)] = end - start
                if is_straddling and (span := self._places.span(triple, start, end)):
                    is_straddling, spans[len(numbers)] = False, span
            numbers.append(number)
            straddles.append(is_straddling)
        straddling = int(np.count_nonzero(np.array(straddles)[place])) if any(straddles) else 0
        split = np.flatnonzero(totals.flags(len(numbers), spans)[place]).tolist() if spans else []
        return _Homes(
            aggregate=np.array(numbers, np.int32)[place],
            length=lengths[place],
            straddling=straddling,
            spans={position: spans[place[position]] for position in split},
            numbers=numbers,
        )

    def _combined(self, first: Column, second: Column, scale: int) -> tuple[Column, Column]:
        """Return each counter's number of its pair (first, second < scale), and where each pair stands first."""
        number, at = np.empty(len(first), np.int64), np.empty(len(first), np.int64)
        count = kernels.combine(first, second, scale, self._salt, number, at)
        return number, at[:count]
