"""From the store to Kafka: absolute, versioned values of what is dirty, and refused or stray input, in transactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from schemas import topics
from streams import metrics
from streams.domain.thresholds import Crossing
from streams.failpoints import failpoint
from streams.kafka_client import FencedPublisher, TooLarge
from streams.partition import envelopes, late_refusals, short_refusals
from streams.partition.derive import derive
from streams.partition.publications import Publications
from streams.partition.state import Neighbours, PartitionState
from streams.partition.threshold_events import event_record, threshold_event
from streams.records import Outgoing, Positions

# One transaction carries at most so many aggregates; more of them go out in several, oldest first. Deriving them holds
# the event loop for about 0.1 ms each.
_AGGREGATES_PER_TRANSACTION = 1_000

log = structlog.get_logger()


@dataclass(slots=True)
class Flusher:
    """Publishes what a partition has to say."""

    state: PartitionState
    neighbours: Neighbours
    publisher: FencedPublisher
    publications: Publications
    _refusal_bytes_max: int = topics.REJECTED_BYTES_MAX

    async def flush(self) -> None:
        """Publish what is dirty now, and refused or stray input; what changes meanwhile is for the next flush.

        While the store is behind what has been published already, totals and overage wait: they would be older.
        """
        async with self.state.publishing:
            self.state.outbox.settle(await self.publisher.reconnect())
            await self.publisher.keep_claim(self.state.outbox.settled)
            await self.publications.learn()
            marked = self.state.store.aggregates.marked() if self.publications.settle() else []
            for start in range(0, len(marked), _AGGREGATES_PER_TRANSACTION) or (0,):
                await self._publish(marked[start : start + _AGGREGATES_PER_TRANSACTION])

    async def _publish(self, marked: Sequence[tuple[int, int]]) -> None:
        """Publish these aggregates and clear their marks, in the order that loses nothing.

        1. derive the records; 2. publish them, acknowledged; 3. note what is published; 4. clear the marks, unless
        the aggregate was marked again meanwhile.
        """
        state = self.state
        store, settled = state.store, max(state.outbox.settled, state.next_offset)
        late = dict(state.late)
        settings, now = self.neighbours.settings, datetime.now(UTC)
        records = envelopes.waiting_input(state, settings, now)
        records += await late_refusals.missing(state, self.neighbours, late, now)
        if not marked and not records:
            return
        with metrics.FLUSH_DURATION.time():
            numbers = [number for number, _ in marked]
            derivation = derive(store, numbers, self.neighbours.catalog, settings.usage_epoch)
            records += envelopes.totals(derivation.totals, settings, now)
            records += envelopes.overages(derivation.overages, settings, now)
            records += [self._event(crossing, now) for crossing in derivation.crossings]
            failpoint("publish.derived")
            if records:
                state.positions.update(await self._send(records, settled))
                state.outbox.settle(settled)
        late_refusals.settle(state, late)
        failpoint("publish.settled")
        store.published.billed.update(derivation.billed)
        store.published.reached.update(derivation.reached)
        for number, mark in marked:
            store.aggregates.unmark(number, mark)
        failpoint("publish.cleared")
        state.waiting.difference_update(numbers)
        state.waiting.update(derivation.waiting)
        metrics.WAITING.labels(state.partition).set(len(state.waiting))
        metrics.RECORDS_PUBLISHED.labels("totals").inc(len(derivation.totals))
        metrics.RECORDS_PUBLISHED.labels("overage").inc(len(derivation.overages))

    async def _send(self, records: Sequence[Outgoing], settled: int) -> Positions:
        """Publish records; refusals that are too large for their topic are shortened, the next time at the latest."""
        rejected = self.neighbours.settings.topic(topics.REJECTED)
        records = short_refusals.shortened(records, rejected, self._refusal_bytes_max)
        try:
            return await self.publisher.publish(records, settled)
        except TooLarge:
            self._refusal_bytes_max = short_refusals.lower_limit(records, rejected) or self._refusal_bytes_max
            raise

    def _event(self, crossing: Crossing, now: datetime) -> Outgoing:
        """Return the record that tells of a threshold, once: the total in the same transaction remembers it."""
        settings, total = self.neighbours.settings, crossing.total
        subscription = self.neighbours.catalog.subscription(total.service, total.subscription)
        event = threshold_event(crossing, subscription.customer if subscription else None, now)
        log.info("threshold.reached", event_id=event.id, key=total.key, threshold=crossing.name)
        metrics.THRESHOLDS_REACHED.inc()
        return event_record(event, settings.topic(topics.EVENTS))
