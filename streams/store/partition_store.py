"""State of one source partition: a deterministic function of a prefix of the usage log, kept in memory.

It knows the offset of the last record it has applied; whoever feeds it skips what is not newer and fills gaps first.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import xxhash

from schemas.catalog import Aggregation
from schemas.wire import CounterColumns
from streams.store import closing, kernels, totals
from streams.store.aggregates import UNASSIGNED, AggregateKey, Aggregates
from streams.store.closed import Closed
from streams.store.columns import Column, RowBatch, Rows
from streams.store.counters import CounterArrays
from streams.store.distinct import Distinct
from streams.store.hashing import key_hashes
from streams.store.places import Catalog, Places
from streams.store.published import Published
from streams.store.screened import Screened

_NOWHERE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Applied:
    """What counters did: inserted, replaced, resent unchanged, superseded, reaching over a period's end."""

    inserted: int = 0
    replaced: int = 0
    duplicates: int = 0
    superseded: int = 0
    straddling: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Counters on their way into the store: nothing of them is counted yet.

    late: positions of those that cannot be counted without rows that were dropped.
    """

    counters: CounterArrays
    batch: RowBatch
    straddling: int
    late: Column


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
        aggregate, straddling, numbers = self._aggregate_numbers(counters, pair)
        low, high = key_hashes(counters, pair, pair_at, self.seed)
        periods = np.array([start for start, _ in counters.periods], np.int64)
        batch = RowBatch(
            low=low,
            high=high,
            aggregate=aggregate,
            quantity=counters.quantity,
            revision=counters.revision,
            time=periods[counters.period] if len(counters) else periods,
            place=counters.places(),
            distinct=self.distinct.column(counters, pair, pair_at),
        )
        return Prepared(counters, batch, straddling, self._late(batch, numbers))

    def apply_prepared(self, last_offset: int, prepared: Prepared) -> Applied:
        """Apply what `prepare` has returned since the store's periods were changed last; none of it may be late."""
        counters = prepared.counters
        applied = Applied()
        if len(counters):
            inserted, replaced, duplicates, superseded = self._upsert(prepared.batch, counters.wide)
            applied = Applied(inserted, replaced, duplicates, superseded, prepared.straddling)
        self.screened.note_allowed(counters)
        self.applied_offset = last_offset
        return applied

    def totals(self, numbers: Iterable[int]) -> dict[int, Decimal]:
        """Return the exact totals of aggregates whose metric is known, by number.

        Left out is what takes rows that were dropped: the store has to be made anew.
        """
        return totals.totals(self.rows, self.aggregates, self.wide, self._kinds(numbers), self.closed.bases)

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
        return self.distinct.outdated() | self.screened.outdated(self._catalog)

    def used_bytes(self) -> int:
        """Bytes held by rows, their index and what is left of dropped rows."""
        return self.rows.used_bytes() + self.closed.table.nbytes

    def is_settled(self, key: AggregateKey) -> bool:
        """Tell whether an aggregate's period is the one the catalog gives it now."""
        return self._places.is_settled(key)

    def reassign(self, numbers: Iterable[int]) -> None:
        """Put the counters of these aggregates into the periods of the catalog as it is now."""
        self._places.forget()
        moving = [number for number in numbers if not self.is_settled(self.aggregates.keys[number])]
        if not moving:
            return
        aggregate, time = self.rows.used("aggregate"), self.rows.used("time")
        last_change = {number: int(self.aggregates.arrays["changed"][number]) for number in moving}
        touched = set(moving)
        self.closed.is_torn |= not self.closed.bases.keys().isdisjoint(moving)
        rows = np.flatnonzero(np.isin(aggregate, np.array(moving, np.int32)))
        for row in rows.tolist():
            former = int(aggregate[row])
            key = self.aggregates.keys[former]
            number, _, _ = self._places.locate(key.service, key.subscription, key.metric, int(time[row]))
            aggregate[row] = number
            touched.add(number)
            self.closed.is_torn |= self.closed.needs_rows(number)
            # What comes of these counters is as young as they are: its version says up to where to read the log.
            last_change[number] = max(last_change.get(number, -1), last_change[former])
        # Locating may have made aggregates, and with them longer arrays.
        changed = self.aggregates.arrays["changed"]
        for number, offset in last_change.items():
            changed[number] = max(int(changed[number]), offset)
        self.rows.extremes.forget(touched)
        totals.resum(self.rows, self.aggregates, touched, self.closed.bases)
        for number in touched:
            self.aggregates.mark(number)

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

    def _upsert(self, batch: RowBatch, wide: dict[int, Decimal]) -> list[int]:
        """Bring a batch into rows and aggregates; return how many counters had each status, in their order."""
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
        rows.extremes.note(row[status & ~kernels.WAS_WIDE == kernels.REPLACED], rows.size)
        if wide or self.wide:
            self._keep_wide(status, row, wide)
        counts: list[int] = np.bincount(status & ~kernels.WAS_WIDE, minlength=kernels.STATUSES).tolist()
        return counts

    def _keep_wide(self, status: Column, row: Column, wide: dict[int, Decimal]) -> None:
        """Follow the kernel for values that do not fit its columns, in the batch's order."""
        left = np.flatnonzero(status & kernels.WAS_WIDE)
        for position in np.union1d(left, np.fromiter(wide, np.int64, len(wide))).tolist():
            # A duplicate, too: what its metric counts is the same, the value itself need not be.
            if status[position] != kernels.SUPERSEDED:
                number = int(row[position])
                self.wide.pop(number, None)
                if position in wide:
                    self.wide[number] = wide[position]

    def _aggregate_numbers(self, counters: CounterArrays, pair: Column) -> tuple[Column, int, list[int]]:
        """Return each counter's aggregate number, how many counters reach over their period's end, all numbers."""
        place, place_at = self._combined(pair, counters.period, len(counters.periods))
        numbers, straddles = [], []
        for owner, metric, period in zip(*counters.codes_at(place_at), counters.period[place_at].tolist(), strict=True):
            start, end = counters.periods[period]
            number, _, period_end = self._places.locate(*counters.owners[owner], counters.metrics[metric], start)
            numbers.append(number)
            straddles.append(period_end != UNASSIGNED and end > period_end)
        straddling = int(np.count_nonzero(np.array(straddles)[place])) if any(straddles) else 0
        return np.array(numbers, np.int32)[place], straddling, numbers

    def _combined(self, first: Column, second: Column, scale: int) -> tuple[Column, Column]:
        """Return each counter's number of its pair (first, second < scale), and where each pair stands first."""
        number, at = np.empty(len(first), np.int64), np.empty(len(first), np.int64)
        count = kernels.combine(first, second, scale, self._salt, number, at)
        return number, at[:count]
