"""The client's sending half: counters to lanes, lanes to records, answers back to lanes.

All state is guarded by the client's one lock; encoding and sending happen outside of it. `wait_for_work` and `pump`
belong to the client's thread, the answers come on Kafka's.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from uuid import uuid4

from producers.kafka_client import Position, Record, RecordProducer, RecordTooLarge
from producers.sdk.lane import Batch, ClientLimits, Held, Lane
from schemas.cloudevents import USAGE_TYPE, headers, usage_source
from schemas.errors import BillingError, BrokerUnavailable
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of
from schemas.wire import encode_batch

_RETRY_S = 0.25


class Packer:
    """See the module."""

    def __init__(
        self,
        service: str,
        topic: str,
        producer: RecordProducer,
        limits: ClientLimits,
        changed: threading.Condition,
        release: Callable[[list[Held]], None],
    ) -> None:
        self.last_error: str | None = None
        self._service = service
        self._topic = topic
        self._producer = producer
        self._limits = limits
        self._changed = changed
        self._release = release
        self._lanes: dict[int, Lane] = {}
        self._hurry_up_to = 0
        self._not_before_s = 0.0
        self._stopping = False

    def hurry(self, sequence: int) -> None:
        """Send up to this counter without waiting for fuller records. Needs the lock."""
        self._hurry_up_to = max(self._hurry_up_to, sequence)

    def stop(self) -> None:
        """Make `wait_for_work` return false."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def wait_for_work(self, incoming: deque[Held]) -> bool:
        """Wait until `pump` has something to do; false means stop."""
        with self._changed:
            while not self._stopping:
                due_at_s = self._due_at_s(incoming)
                wait_s = None if due_at_s is None else due_at_s - time.monotonic()
                if wait_s is not None and wait_s <= 0:
                    return True
                self._changed.wait(wait_s)
            return False

    def pump(self, incoming: deque[Held]) -> None:
        """Move counters into lanes and send every record that is due."""
        try:
            partitions = self._producer.partitions(self._topic)
        except BrokerUnavailable as error:
            with self._changed:
                self._note(f"cannot learn the partitions of {self._topic}: {error}")
            return
        now_s = time.monotonic()
        with self._changed:
            self._sort_in(incoming, partitions, now_s)
            sendable = [(number, batch) for number, lane in self._lanes.items() for batch in lane.take_sendable(now_s)]
        for number, batch in sendable:
            self._send(number, batch)

    def oldest_sequence(self, default: int) -> int:
        """Return the sequence of the oldest counter in any lane. Needs the lock."""
        return min((first for lane in self._lanes.values() if (first := lane.first_sequence())), default=default)

    def held(self) -> Iterator[Held]:
        """All counters in lanes. Needs the lock."""
        for lane in self._lanes.values():
            yield from lane.held()

    def _due_at_s(self, incoming: deque[Held]) -> float | None:
        """Return when there is something to do; null: not before something changes."""
        waiting = [(held.sequence, held.added_at_s) for held in list(incoming)[:1]]
        waiting += [first for lane in self._lanes.values() if (first := lane.packing_first())]
        moments = [0.0 if sequence <= self._hurry_up_to else at_s + self._limits.linger_s for sequence, at_s in waiting]
        if len(incoming) >= self._limits.counters_per_record:
            moments.append(0.0)
        moments += [at_s for lane in self._lanes.values() if (at_s := lane.sendable_at_s()) is not None]
        return max(min(moments), self._not_before_s) if moments else None

    def _sort_in(self, incoming: deque[Held], partitions: int, now_s: float) -> None:
        while incoming:
            held = incoming.popleft()
            # A partition added meanwhile leaves some counters on their old lane; the meter moves those on.
            number = partition_of(usage_key(self._service, held.counter.subscription), partitions)
            self._lanes.setdefault(number, Lane(self._limits)).put(held)
        for lane in self._lanes.values():
            first = lane.packing_first()
            if first and (first[0] <= self._hurry_up_to or first[1] + self._limits.linger_s <= now_s):
                lane.close_record()

    def _send(self, number: int, batch: Batch) -> None:
        if batch.value is None:
            batch.value = encode_batch(self._service, (held.counter for held in batch.held))
            batch.headers = headers(
                event_type=USAGE_TYPE,
                event_id=str(uuid4()),
                source=usage_source(self._service),
                time=datetime.now(UTC),
            )
        try:
            future = self._producer.send(Record(self._topic, batch.value, partition=number, headers=batch.headers))
        except BillingError as error:
            self._settle(number, batch, error)
            return

        def answered(done: Future[Position]) -> None:
            self._settle(number, batch, done.exception())

        future.add_done_callback(answered)

    def _settle(self, number: int, batch: Batch, error: BaseException | None) -> None:
        with self._changed:
            lane = self._lanes[number]
            if error is None:
                self.last_error = None
                self._release(lane.mark_acknowledged(batch))
                return
            self._note(str(error))
            if not (isinstance(error, RecordTooLarge) and lane.split(batch)):
                lane.mark_failed(batch, time.monotonic() + _RETRY_S)
            self._changed.notify_all()

    def _note(self, problem: str) -> None:
        self.last_error = problem
        self._not_before_s = time.monotonic() + _RETRY_S
