"""State of one source partition: a deterministic function of a prefix of the usage log, kept in memory.

It knows the offset of the last record it has applied; whoever feeds it skips what is not newer and fills gaps first.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Protocol

import numpy as np
import xxhash

from schemas.catalog import Aggregation, Metric
from schemas.money import DECIMAL_CONTEXT, format_decimal
from schemas.periods import Cycle, period_of
from schemas.wire import CounterColumns, from_micros, to_micros
from streams.store import kernels
from streams.store.aggregates import UNASSIGNED, AggregateKey, Aggregates
from streams.store.columns import Column, RowBatch, Rows
from streams.store.fixed_point import from_fixed, to_fixed

_ZERO = Decimal(0)
_MIXED = "\0"

Billed = dict[tuple[str, str, str, int], dict[str, str]]
"""(service, subscription, metric, period start) → charge code → currency: which overage records bear an amount."""


class Catalog(Protocol):
    """What the store asks the catalog."""

    def cycle(self, service: str, external_id: str) -> Cycle | None:
        """Return how a subscription's periods repeat, or null while it is unknown."""
        ...

    def metric(self, service: str, code: str) -> Metric | None:
        """Return a metric, or null while it is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch did: counters inserted, replaced, resent unchanged, superseded, reaching over a period's end."""

    inserted: int = 0
    replaced: int = 0
    duplicates: int = 0
    superseded: int = 0
    straddling: int = 0


class PartitionStore:
    """Rows and aggregates of one partition. Not thread-safe; its owner's event loop is the only writer."""

    def __init__(self, seed: int, catalog: Catalog) -> None:
        self.seed = seed
        self.applied_offset = -1
        self.rows = Rows()
        self.aggregates = Aggregates()
        self.wide: dict[int, Decimal] = {}
        # (service, metric) → what its rows' `distinct` was made of when the first of them came; null: of nothing.
        self.counted_by: dict[tuple[str, str], str | None] = {}
        # What has been published, to be withdrawn when a charge ceases to apply.
        self.billed: Billed = {}
        self._catalog = catalog
        # (service, subscription, metric) → aggregate number and period of the counter before: the usual answer.
        self._recent: dict[tuple[str, str, str], tuple[int, int, int]] = {}

    def apply(self, offset: int, counters: CounterColumns | None) -> Applied:
        """Apply one record, good counters only (null: none), in one step; `offset` must follow the last one.

        Returns what happened. Duplicates change nothing; a replaced counter leaves its former aggregate.
        """
        applied = Applied()
        if counters is not None and len(counters):
            applied = self._apply_counters(offset, counters)
        self.applied_offset = offset
        return applied

    def totals(self, numbers: Iterable[int]) -> dict[int, Decimal]:
        """Return the exact totals of aggregates whose metric is known, by number.

        Sums are kept as running numbers; max, last and unique count are read from the rows, one pass over them
        for all aggregates together, as a replaced counter may have lowered them.
        """
        with localcontext(DECIMAL_CONTEXT):
            return self._totals(numbers)

    def _totals(self, numbers: Iterable[int]) -> dict[int, Decimal]:
        kinds: dict[int, Aggregation] = {}
        for number in numbers:
            key = self.aggregates.keys[number]
            metric = self._catalog.metric(key.service, key.metric)
            if metric is not None:
                kinds[number] = metric.aggregation
        wide = self._wide_of(kinds)
        totals = {
            number: sum(wide.get(number, ()), from_fixed(self.aggregates.fixed_sum(number)))
            for number, kind in kinds.items()
            if kind is Aggregation.SUM
        }
        scanned = {number: kind for number, kind in kinds.items() if kind is not Aggregation.SUM}
        if scanned:
            totals |= self._scan(scanned, wide)
        return totals

    def is_outdated(self) -> bool:
        """Tell whether a metric now counts distinct values of something that its rows do not hold.

        The catalog may learn of a metric after its first counters, or change what it counts. Rows keep a hash of one
        property only, so such a store has to be made anew from the log.
        """
        for (service, code), counted in self.counted_by.items():
            metric = self._catalog.metric(service, code)
            if metric is not None and metric.aggregation is Aggregation.UNIQUE_COUNT and counted != _counted(metric):
                return True
        return False

    def reassign(self, numbers: Iterable[int]) -> None:
        """Put the counters of these aggregates into the periods of the catalog as it is now."""
        self._recent.clear()
        moving = [number for number in numbers if not self._is_settled(self.aggregates.keys[number])]
        if not moving:
            return
        aggregate, time = self.rows.used("aggregate"), self.rows.used("time")
        touched = set(moving)
        rows = np.flatnonzero(np.isin(aggregate, np.array(moving, np.int32)))
        for row in rows.tolist():
            key = self.aggregates.keys[int(aggregate[row])]
            number, _, _ = self._locate(key.service, key.subscription, key.metric, int(time[row]))
            aggregate[row] = number
            touched.add(number)
        self._resum(touched)
        for number in touched:
            self.aggregates.mark(number)

    def reassign_subscription(self, service: str, subscription: str) -> None:
        """Take over a change of a subscription's periods."""
        self.reassign(self.aggregates.of_subscription(service, subscription))

    def _apply_counters(self, offset: int, counters: CounterColumns) -> Applied:
        aggregate, straddling = self._aggregate_numbers(counters)
        quantity, wide = to_fixed(counters.quantities)
        low, high = self._hashes(counters)
        size = len(counters)
        batch = RowBatch(
            low=low,
            high=high,
            aggregate=aggregate,
            quantity=quantity,
            revision=np.array(counters.revisions, np.int32) if counters.revisions else np.zeros(size, np.int32),
            time=np.array([start for start, _ in counters.periods], np.int64)[np.array(counters.period, np.int64)],
            distinct=self._distinct(counters, wide),
        )
        statuses = self._upsert(batch, offset, wide)
        tally = Tally(statuses.tolist())
        return Applied(
            inserted=tally[kernels.INSERTED],
            replaced=tally[kernels.REPLACED],
            duplicates=tally[kernels.DUPLICATE],
            superseded=tally[kernels.SUPERSEDED],
            straddling=straddling,
        )

    def _upsert(self, batch: RowBatch, offset: int, wide: Mapping[int, Decimal]) -> Column:
        self.rows.reserve(len(batch))
        status = np.empty(len(batch), np.int8)
        row = np.empty(len(batch), np.int64)
        self.rows.size, self.aggregates.sequence = kernels.upsert(
            self.rows.slots,
            tuple(self.rows.columns.values()),
            tuple(self.aggregates.arrays.values()),
            self.rows.size,
            self.aggregates.sequence,
            (batch.low, batch.high, batch.aggregate, batch.quantity, batch.revision, batch.time, batch.distinct),
            offset,
            status,
            row,
        )
        if wide or self.wide:
            self._keep_wide(status, row, wide)
        return status

    def _keep_wide(self, status: Column, row: Column, wide: Mapping[int, Decimal]) -> None:
        """Follow the kernel for values that do not fit its columns, in the batch's order."""
        for position, (what, number) in enumerate(zip(status.tolist(), row.tolist(), strict=True)):
            # A duplicate, too: what its metric counts is the same, the value itself need not be.
            if what != kernels.SUPERSEDED:
                self.wide.pop(number, None)
                if position in wide:
                    self.wide[number] = wide[position]

    def _aggregate_numbers(self, counters: CounterColumns) -> tuple[Column, int]:
        """Return each counter's aggregate number, and how many counters reach over their period's end."""
        service, straddling = counters.service, 0
        memo: dict[tuple[int, int, int], tuple[int, bool]] = {}
        numbers = np.empty(len(counters), np.int32)
        combinations = zip(counters.subscription, counters.metric, counters.period, strict=True)
        for position, combination in enumerate(combinations):
            found = memo.get(combination)
            if found is None:
                subscription, metric, period = combination
                start, end = counters.periods[period]
                number, _, period_end = self._locate(
                    service, counters.subscriptions[subscription], counters.metrics[metric], start
                )
                found = memo[combination] = (number, period_end != UNASSIGNED and end > period_end)
            numbers[position] = found[0]
            straddling += found[1]
        return numbers, straddling

    def _locate(self, service: str, subscription: str, metric: str, start: int) -> tuple[int, int, int]:
        """Return number, period start and period end of the aggregate for a counter that starts at `start`."""
        triple = (service, subscription, metric)
        recent = self._recent.get(triple)
        if recent is not None and recent[1] <= start < recent[2]:
            return recent
        bounds = self._period(service, subscription, start)
        located = (self.aggregates.number(AggregateKey(*triple, *bounds)), *bounds)
        if bounds[0] != UNASSIGNED:
            self._recent[triple] = located
        return located

    def _period(self, service: str, subscription: str, start: int) -> tuple[int, int]:
        """Return the billing period of an instant, as the catalog has it now, or `UNASSIGNED` twice."""
        cycle = self._catalog.cycle(service, subscription)
        if cycle is None:
            return UNASSIGNED, UNASSIGNED
        try:
            period = period_of(from_micros(start), cycle)
        except (ValueError, OverflowError):
            # An interval so long that a boundary lies outside the calendar: no counter may stop the partition.
            return UNASSIGNED, UNASSIGNED
        return to_micros(period.start), to_micros(period.end)

    def _is_settled(self, key: AggregateKey) -> bool:
        """Tell whether an aggregate's period is the one the catalog gives it now."""
        if key.period_start == UNASSIGNED:
            return self._catalog.cycle(key.service, key.subscription) is None
        return self._period(key.service, key.subscription, key.period_start) == (key.period_start, key.period_end)

    def _hashes(self, counters: CounterColumns) -> tuple[Column, Column]:
        """Return both words of each key's hash.

        Service and metric codes hold no slash and the subscription's length comes first: no two quadruples of
        (service, subscription, metric, key) give the same text.
        """
        prefixes: dict[tuple[int, int], str] = {}
        digests = []
        pairs = zip(counters.subscription, counters.metric, strict=True)
        for pair, key in zip(pairs, counters.keys, strict=True):
            prefix = prefixes.get(pair)
            if prefix is None:
                name, metric = counters.subscriptions[pair[0]], counters.metrics[pair[1]]
                prefix = prefixes[pair] = f"{counters.service}/{metric}/{len(name)}:{name}"
            digests.append(xxhash.xxh3_128_digest((prefix + key).encode(), self.seed))
        words = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
        return np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1])

    def _distinct(self, counters: CounterColumns, wide: Mapping[int, Decimal]) -> Column:
        """Return what unique count counts: the hash of the metric's property, or of the quantity without one.

        Values that do not fit their column have the hash of the value here, so that a resent one is recognised.
        """
        distinct = np.zeros(len(counters), np.uint64)
        for position, exact in wide.items():
            distinct[position] = self._hash_of(format_decimal(exact))
        metrics = [self._catalog.metric(counters.service, code) for code in counters.metrics]
        for code, metric in zip(counters.metrics, metrics, strict=True):
            name, counted = (counters.service, code), _counted(metric)
            if self.counted_by.setdefault(name, counted) != counted:
                self.counted_by[name] = _MIXED
        if not any(metric and metric.aggregation is Aggregation.UNIQUE_COUNT for metric in metrics):
            return distinct
        for position, number in enumerate(counters.metric):
            metric = metrics[number]
            if metric and metric.aggregation is Aggregation.UNIQUE_COUNT:
                value = format_decimal(Decimal(counters.quantities[position]))
                if metric.unique_property:
                    properties = (counters.properties[position] if counters.properties else None) or {}
                    value = repr(properties.get(metric.unique_property))
                distinct[position] = self._hash_of(value)
        return distinct

    def _hash_of(self, value: str) -> int:
        return xxhash.xxh3_64_intdigest(value.encode(), self.seed)

    def _wide_of(self, numbers: Mapping[int, Aggregation]) -> dict[int, list[Decimal]]:
        found: dict[int, list[Decimal]] = {}
        for row, value in self.wide.items():
            number = int(self.rows.columns["aggregate"][row])
            if number in numbers:
                found.setdefault(number, []).append(value)
        return found

    def _scan(self, kinds: Mapping[int, Aggregation], wide: Mapping[int, list[Decimal]]) -> dict[int, Decimal]:
        wanted = self._flags(kinds)
        greatest = np.full(len(wanted), -1, np.int64)
        last = np.full(len(wanted), -1, np.int64)
        columns = self.rows.columns
        scanned = tuple(columns[name] for name in ("aggregate", "quantity", "revision", "time", "source"))
        kernels.extremes(scanned, self.rows.size, wanted, greatest, last)
        totals = {}
        for number, kind in kinds.items():
            match kind:
                case Aggregation.MAX:
                    values = [*wide.get(number, ()), *self._values([int(greatest[number])])]
                    totals[number] = max(values, default=_ZERO)
                case Aggregation.LAST:
                    totals[number] = next(iter(self._values([int(last[number])])), _ZERO)
                case _:
                    rows = self.rows.used("aggregate") == number
                    totals[number] = Decimal(len(np.unique(self.rows.used("distinct")[rows])))
        return totals

    def _values(self, rows: Iterable[int]) -> list[Decimal]:
        quantity = self.rows.columns["quantity"]
        return [self.wide[row] if row in self.wide else from_fixed(int(quantity[row])) for row in rows if row >= 0]

    def _resum(self, numbers: Iterable[int]) -> None:
        columns, arrays = self.rows.columns, self.aggregates.arrays
        kernels.resum(
            (columns["aggregate"], columns["quantity"]),
            (arrays["sum_high"], arrays["sum_low"], arrays["count"]),
            self.rows.size,
            self._flags(numbers),
        )

    def _flags(self, numbers: Iterable[int]) -> Column:
        flags = np.zeros(len(self.aggregates), np.bool_)
        flags[list(numbers)] = True
        return flags


def _counted(metric: Metric | None) -> str | None:
    """Return which property a metric counts the distinct values of: empty for the quantity, null for none."""
    if metric is None or metric.aggregation is not Aggregation.UNIQUE_COUNT:
        return None
    return metric.unique_property or ""
