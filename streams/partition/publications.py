"""What `totals.v1` and `overage.v1` hold of a partition, and what of it the store does not give any more.

A store that was restored from a snapshot, or made from the log, does not know what was published after that
snapshot. Most of it is published again, as its aggregates change again while the log is replayed. But an aggregate
or a charge that has ceased to be meanwhile (another anchor, another plan, a charge deleted) would keep its last
record for ever, and be billed. So what was published is read, and compared:

1. `doubt`: from now on somebody else may have published; nothing may be published before the next two steps;
2. `learn`: read the derived topics from the last known positions to their ends, once the partition is claimed and
   no former owner can add to them;
3. `settle`: when the store is as far in the log as what was published, mark what has to be withdrawn, and raise the
   versions of what is published next above those that are there.
"""

from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from schemas import topics
from schemas.catalog import Charge
from schemas.errors import ConfigurationError
from schemas.partitioning import partition_of
from streams import metrics
from streams.partition.derived_records import OverageSeen, TotalSeen, read_overage, read_total, usage_key_in
from streams.partition.state import Neighbours, PartitionState
from streams.records import Outgoing, Positions
from streams.store.aggregates import AggregateKey
from streams.store.published import Name, Published

log = structlog.get_logger()


@dataclass(slots=True)
class _Seen:
    """What was published under one aggregate's keys; `charges` null: withdrawn."""

    period_end: int
    source_offset: int = 0
    counters: int = 0
    reached: tuple[str, ...] = ()
    charges: dict[str, Charge | None] = field(default_factory=dict)


@dataclass(slots=True)
class Publications:
    """Follows what has been published of one partition. `is_short`: the log does not hold all that the store lacks."""

    state: PartitionState
    neighbours: Neighbours
    is_short: bool = False
    _ends: Positions | None = None
    _horizon: int = -1
    _seen: dict[Name, _Seen] = field(default_factory=dict)
    _is_settled: bool = False

    def doubt(self) -> None:
        """Note that somebody else may have published since `state.positions`."""
        self._ends, self._is_settled = None, False

    async def learn(self) -> None:
        """Read what is new on the derived topics, once; the partition must have been claimed before."""
        if self._ends is not None:
            return
        settings, reader = self.neighbours.settings, self.neighbours.derived
        total, overage = settings.topic(topics.TOTALS), settings.topic(topics.OVERAGE)
        ends = await reader.ends([total, overage])
        self._seen.clear()
        count = 0
        async with aclosing(reader.read(self.state.positions, ends)) as records:
            async for record in records:
                if self._is_ours(record):
                    self._take(record, is_total=record.topic == total)
                count += 1
                metrics.PUBLISHED_READ.labels(self.state.partition).set(count)
        await self._check_horizon()
        self._ends = ends
        log.info("published.read", partition=self.state.partition, records=count, aggregates=len(self._seen))

    def settle(self) -> bool:
        """Compare with the store, once it is as far as what was published; tell whether that is done."""
        if self._ends is None or self.state.store.applied_offset < self._horizon:
            return self._is_settled
        if not self._is_settled:
            withdrawn = sum(self._settle_one(name, seen) for name, seen in self._seen.items())
            for place, end in self._ends.items():
                self.state.positions[place] = max(end, self.state.positions.get(place, 0))
            self._seen.clear()
            self._is_settled = True
            if withdrawn:
                log.warning("published.withdrawn", partition=self.state.partition, aggregates=withdrawn)
            if held := len(self.state.store.published.held):
                log.error("totals.held", partition=self.state.partition, aggregates=held)
            metrics.HELD.labels(self.state.partition).set(held)
        return True

    async def _check_horizon(self) -> None:
        _, end = await self.neighbours.log_reader.bounds(self.state.partition)
        if self._horizon >= end:
            raise ConfigurationError(
                f"partition {self.state.partition}: totals of usage offset {self._horizon} are published, the usage log"
                f" ends at {end}. Was the topic made anew? Raise FUSION_USAGE_EPOCH"
            )

    def _is_ours(self, record: Outgoing) -> bool:
        key = usage_key_in(record.key)
        return key is not None and partition_of(key, self.neighbours.partitions) == self.state.partition

    def _take(self, record: Outgoing, *, is_total: bool) -> None:
        read = read_total(record.value) if is_total else read_overage(record.value)
        if read is None or read.version[0] != self.neighbours.settings.usage_epoch:
            # Of another log: its periods are not this one's to change.
            return
        seen = self._seen.setdefault(read.name, _Seen(read.period_end))
        seen.source_offset = max(seen.source_offset, read.version[1])
        self._horizon = max(self._horizon, read.version[1])
        match read:
            case TotalSeen():
                seen.period_end, seen.counters = read.period_end, read.counters
                seen.reached = (*seen.reached, *(each for each in read.reached if each not in seen.reached))
            case OverageSeen():
                seen.charges[read.charge] = read.terms

    def _settle_one(self, name: Name, seen: _Seen) -> bool:
        """Bring one aggregate and what was published of it together; tell whether it is to be withdrawn."""
        store = self.state.store
        key = AggregateKey(*name, seen.period_end)
        number = store.aggregates.find(name)
        if number is None:
            number = store.aggregates.number(key)
        changed = store.aggregates.arrays["changed"]
        changed[number] = max(int(changed[number]), seen.source_offset)
        _note(store.published, name, seen)
        counters = int(store.aggregates.arrays["count"][number])
        if self.is_short and counters < seen.counters and store.is_settled(key):
            # Its period is one that the catalog gives, so its counters were in the part of the log that is gone.
            store.published.held[name] = seen.counters
            return False
        if counters or not (seen.counters or store.published.billed[name]):
            return False
        store.aggregates.mark(number)
        return True


def _note(published: Published, name: Name, seen: _Seen) -> None:
    billed = published.billed.setdefault(name, {})
    for code, charge in seen.charges.items():
        if charge is None:
            billed.pop(code, None)
        else:
            billed[code] = charge
    known = published.reached.get(name, ())
    if reached := (*known, *(each for each in seen.reached if each not in known)):
        published.reached[name] = reached
