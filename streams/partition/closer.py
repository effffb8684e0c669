"""Closing periods: rows that nothing should change any more leave memory."""

import asyncio
import time
from dataclasses import dataclass

import numpy as np
import structlog

from streams import metrics
from streams.domain.catalog import is_invoiced
from streams.partition.state import Neighbours, PartitionState
from streams.store.aggregates import UNASSIGNED, AggregateKey
from streams.store.columns import Column

# How often a late counter can have a store made anew, and how often it is looked for what to close.
_EVERY_S = 3600.0
# Fewer rows are not worth a pass over all.
_SHARE_MIN = 0.1
# Aggregates looked at in one step.
_LOOKED_AT = 5_000

log = structlog.get_logger()


@dataclass(slots=True)
class Closer:
    """Drops the rows of a partition's closed periods."""

    state: PartitionState
    neighbours: Neighbours
    _due_at: float = 0.0

    def postpone(self) -> None:
        """Close nothing for a while: a late counter has shown that rows are still needed."""
        self._due_at = time.monotonic() + _EVERY_S

    async def close_periods(self) -> int:
        """Drop the rows of closed periods, if it is time and worth it; return how many. The caller holds `applying`.

        A period is closed when it is invoiced, its end is long past, and everything of it has been published. If the
        catalog has asked for dropped rows since the last time, the store is to be made anew instead.
        """
        state, after_s = self.state, self.neighbours.settings.meter_close_after_s
        if not after_s or time.monotonic() < self._due_at or state.is_outdated:
            return 0
        self.postpone()
        store, catalog_offset = state.store, state.catalog_offset
        if store.closed.is_torn:
            # Not at each such change of the catalog: a store made anew is a replay of the whole log.
            state.is_outdated = True
            return 0
        aggregate, rows = store.rows.used("aggregate"), store.rows.size
        counts = np.bincount(aggregate, minlength=len(store.aggregates))
        np.add.at(counts, list(store.splits.counted()), 1)
        numbers = await self._closable(counts, int((time.time() - after_s) * 1_000_000))
        if not numbers or counts[numbers].sum() < rows * _SHARE_MIN or state.catalog_offset != catalog_offset:
            return 0
        for _ in store.close(numbers):
            await asyncio.sleep(0)
            if state.catalog_offset != catalog_offset:
                log.info("periods.closing_postponed", partition=state.partition)
                return 0
        dropped = rows - store.rows.size
        metrics.ROWS_CLOSED.inc(dropped)
        log.info("periods.closed", partition=state.partition, aggregates=len(numbers), rows=dropped)
        return dropped

    async def _closable(self, counts: Column, before: int) -> list[int]:
        aggregates = self.state.store.aggregates
        candidates = np.flatnonzero((counts > 0) & (aggregates.arrays["dirty"][: len(counts)] == 0)).tolist()
        numbers = []
        for start in range(0, len(candidates), _LOOKED_AT):
            numbers += [
                number
                for number in candidates[start : start + _LOOKED_AT]
                if UNASSIGNED < aggregates.keys[number].period_end < before
                and self._is_closable(aggregates.keys[number])
            ]
            await asyncio.sleep(0)
        return numbers

    def _is_closable(self, key: AggregateKey) -> bool:
        store, catalog = self.state.store, self.neighbours.catalog
        subscription = catalog.subscription(key.service, key.subscription)
        return (
            subscription is not None
            and is_invoiced(key.period_end, subscription)
            and catalog.metric(key.service, key.metric) is not None
            and key[:4] not in store.published.held
            and store.is_settled(key)
        )
