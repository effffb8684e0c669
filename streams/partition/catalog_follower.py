"""From the catalog into the store: periods move, aggregates are marked to be rated anew, a store is made anew."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from streams import metrics
from streams.domain.catalog import Touched, is_invoiced
from streams.partition.log_follower import LogFollower
from streams.partition.state import Neighbours, PartitionState
from streams.store.partition_store import PartitionStore

log = structlog.get_logger()


@dataclass(slots=True)
class CatalogFollower:
    """Keeps a partition's store up to date with the catalog."""

    state: PartitionState
    neighbours: Neighbours
    log_follower: LogFollower

    def changed(self, touched: Touched) -> None:
        """Move and mark what a catalog change touches; new terms leave invoiced periods alone."""
        state, store = self.state, self.state.store
        state.catalog_offset = self.neighbours.catalog.next_offset
        for service, subscription in touched.subscriptions:
            store.reassign_subscription(service, subscription)
            self._mark_open(store.aggregates.of_subscription(service, subscription))
        if touched.metrics:
            keys = enumerate(store.aggregates.keys)
            self._mark_open([n for n, key in keys if {(key.service, key.metric), (None, key.metric)} & touched.metrics])
            state.is_outdated = bool(store.outdated())

    def catch_up(self) -> None:
        """Follow what the catalog has become since the store last followed it."""
        state, store = self.state, self.state.store
        if state.catalog_offset != self.neighbours.catalog.next_offset:
            state.catalog_offset = self.neighbours.catalog.next_offset
            store.reassign(range(len(store.aggregates)))
            self._mark_open(range(len(store.aggregates)))
            state.is_outdated = bool(store.outdated())

    async def make_anew(self, reason: str = "catalog") -> bool:
        """Make an outdated store anew from the log, up to where it is; tell whether that was done.

        The caller holds `applying`; what is published stays as it is meanwhile. If the log no longer holds counters
        that the store knows, the store is kept: no total is lowered because of retention. What it cannot tell any
        more is not published, until the catalog changes again.
        """
        state = self.state
        if not state.is_outdated:
            return False
        end = state.next_offset
        store = PartitionStore(state.store.seed, self.neighbours.catalog)
        await self.log_follower.meet_the_log(store)
        # Refusals of the records that are replayed may have gone out at any time before.
        state.past_offset = end - 1
        await self.log_follower.replay(store, end)
        async with state.publishing:
            former = state.store
            # The catalog may have changed while the log was read.
            store.reassign(range(len(store.aggregates)))
            lost = _lost(former, store)
            if lost is None:
                state.is_outdated, former.closed.is_torn, former.closed.is_final = False, False, True
                metrics.REMAKES_REFUSED.inc()
                log.error("store.kept", partition=state.partition, log_start=store.first_offset)
                return False
            if lost:
                store.carry(former, lost)
            store.closed.is_final = True
            _succeed(former, store)
            state.store, state.waiting = store, set()
            state.is_outdated = bool(store.outdated())
        metrics.REMAKES.labels(reason).inc()
        log.warning("store.made_anew", partition=state.partition, end=end, reason=reason)
        return True

    def _mark_open(self, numbers: Sequence[int]) -> None:
        """Mark aggregates whose period is not invoiced yet."""
        aggregates = self.state.store.aggregates
        for number in numbers:
            key = aggregates.keys[number]
            subscription = self.neighbours.catalog.subscription(key.service, key.subscription)
            if subscription is None or not is_invoiced(key.period_end, subscription):
                aggregates.mark(number)


def _lost(former: PartitionStore, store: PartitionStore) -> list[int] | None:
    """Return the former numbers of closed aggregates whose counters have left the log, or of which some were refused.

    What was refused stays refused, though the log gives it again.

    Null if any other aggregate that the catalog still gives would have fewer counters than it had, or more, as the
    log no longer tells that one of its counters belongs to what is lost.
    """
    is_shorter = store.first_offset > former.first_offset
    refused = {number for number in former.closed.bases if former.aggregates.keys[number][:4] in former.closed.refused}
    suspects = range(len(former.aggregates)) if is_shorter else sorted(former.closed.carried | refused)
    lost = []
    for former_number in suspects:
        key = former.aggregates.keys[former_number]
        number = store.aggregates.find(key[:4])
        counters = 0 if number is None else int(store.aggregates.arrays["count"][number])
        is_fewer = counters < int(former.aggregates.arrays["count"][former_number])
        is_closed, is_settled = former_number in former.closed.bases, former.is_settled(key)
        is_lost = is_closed and (is_fewer or former_number in refused)
        if is_lost and is_settled:
            lost.append(former_number)
        elif is_lost or (is_fewer and is_settled):
            return None
    return None if lost and _has_more(former, store) else lost


def _has_more(former: PartitionStore, store: PartitionStore) -> bool:
    """Tell whether an aggregate has more counters than it had."""
    counts = zip(former.aggregates.keys, former.aggregates.arrays["count"].tolist(), strict=False)
    known = {key[:4]: count for key, count in counts}
    found = zip(store.aggregates.keys, store.aggregates.arrays["count"].tolist(), strict=False)
    return any(count > known.get(key[:4], 0) for key, count in found)


def _succeed(former: PartitionStore, store: PartitionStore) -> None:
    """Let a store take the place of another: what the other has published is published anew, under later versions."""
    store.published = former.published
    former_changed = former.aggregates.arrays["changed"]
    for former_number, key in enumerate(former.aggregates.keys):
        number = store.aggregates.find(key[:4])
        if number is None:
            number = store.aggregates.number(key)
        changed = store.aggregates.arrays["changed"]
        changed[number] = max(int(changed[number]), int(former_changed[former_number]))
    for number in range(len(store.aggregates)):
        store.aggregates.mark(number)
