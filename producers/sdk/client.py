"""`UsageClient`: counters in, packed records out, and an honest answer about what is durable.

`add` checks and queues; one background thread packs and sends; Kafka's answers release what is held. A counter that
was taken is either acknowledged or still held: the client never gives one up while it is open.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from producers.kafka_client import KafkaRecordProducer, ProducerLimits, RecordProducer
from producers.sdk.counters import checked_counter, size_bytes_max
from producers.sdk.errors import BufferFull, ClientClosed, InvalidCounter, NotAcknowledged
from producers.sdk.lane import ClientLimits, Held
from producers.sdk.packer import Packer
from schemas.identifiers import check_code
from schemas.settings import Settings, load
from schemas.topics import USAGE
from schemas.usage import Counter

_CLOSE_TIMEOUT_S = 30.0


class UsageClient:
    """Publishes the counters of one service straight to Kafka. Safe to share between threads and event loops.

    A context manager, also an asynchronous one; leaving it flushes. Kafka may be away when the client is made: it
    connects in the background, and `add` takes counters up to the limits.
    """

    def __init__(
        self,
        service: str,
        *,
        bootstrap: str | None = None,
        settings: Settings | None = None,
        limits: ClientLimits | None = None,
        producer: RecordProducer | None = None,
    ) -> None:
        """Make a client.

        Args:
            service: code of the app that publishes.
            bootstrap: brokers, ``host:port``, comma separated; default: `FUSION_KAFKA_BOOTSTRAP`.
            settings: all connection settings, for clusters with TLS or SASL; default: the `FUSION_…` environment.
            limits: how much is packed and held.
            producer: another way to Kafka than a connection of its own; stays the caller's to close.

        Raises:
            ConfigurationError: a setting is wrong.
            InvalidCounter: the service code is malformed.
        """
        try:
            check_code(service)
        except ValueError as error:
            raise InvalidCounter("service", str(error)) from error
        self._limits = limits or ClientLimits()
        settings = settings or (load(kafka_bootstrap=bootstrap) if bootstrap else load())
        self._own_producer: KafkaRecordProducer | None = None
        if producer is None:
            producer = self._own_producer = _connect(settings, self._limits)
        self._changed = threading.Condition()
        self._incoming: deque[Held] = deque()
        self._added = self._held_counters = self._held_bytes = 0
        self._is_closed = False
        self._packer = Packer(service, settings.topic(USAGE), producer, self._limits, self._changed, self._release)
        self._thread = threading.Thread(target=self._run, name="fusion-usage-client", daemon=True)
        self._thread.start()

    def add(  # noqa: PLR0913 -- a counter has eight fields
        self,
        *,
        subscription: str,
        metric: str,
        quantity: Decimal | int | str,
        period_start: datetime | str,
        period_end: datetime | str,
        idempotency_key: str,
        revision: int = 0,
        properties: Mapping[str, str | int | bool | Decimal | None] | None = None,
    ) -> None:
        """Check a counter and queue it; the fields are those of `schemas.usage.Counter`.

        The same `idempotency_key` again replaces the earlier value: the greater `revision`, among equals the later.

        Raises:
            InvalidCounter: names the field and what would be right.
            BufferFull: too much is unacknowledged and stayed so for `limits.block_s`.
            ClientClosed: the client was closed.
        """
        fields: dict[str, Any] = {
            "subscription": subscription,
            "metric": metric,
            "quantity": quantity,
            "period_start": period_start,
            "period_end": period_end,
            "idempotency_key": idempotency_key,
            "revision": revision,
            "properties": dict(properties or {}),
        }
        self.add_counter(checked_counter(fields))

    def add_counter(self, counter: Counter) -> None:
        """Queue a counter that is checked already; else as `add`."""
        size_bytes = size_bytes_max(counter)
        if size_bytes > self._limits.record_bytes:
            raise InvalidCounter("properties", f"the counter must fit in {self._limits.record_bytes} bytes")
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._has_room(size_bytes), self._limits.block_s)
            if self._is_closed:
                raise ClientClosed("the client is closed: make a new one")
            if not self._has_room(size_bytes):
                raise BufferFull(f"{self._held_counters} counters wait for Kafka: {self._packer.last_error or 'slow'}")
            self._added += 1
            self._held_counters += 1
            self._held_bytes += size_bytes
            self._incoming.append(Held(self._added, time.monotonic(), size_bytes, counter))
            if len(self._incoming) in (1, self._limits.counters_per_record):
                self._changed.notify_all()

    async def add_async(self, **fields: Any) -> None:
        """`add` for asyncio: waits for room without holding up the event loop."""
        await asyncio.to_thread(self.add, **fields)

    def flush(self, timeout_s: float) -> None:
        """Return once every counter added before this call is durable in Kafka.

        Raises:
            NotAcknowledged: time ran out; carries the counters in question. The client holds them and goes on trying:
                call `flush` again. Adding them again instead, here or elsewhere, is safe under the same keys.
        """
        with self._changed:
            target = self._added
            self._packer.hurry(target)
            self._changed.notify_all()
            if self._changed.wait_for(lambda: self._oldest_held() > target, timeout_s):
                return
            unknown = [held.counter for held in self._all_held() if held.sequence <= target]
            reason = self._packer.last_error or f"Kafka did not answer within {timeout_s:g} s"
        raise NotAcknowledged(unknown, reason)

    async def flush_async(self, timeout_s: float) -> None:
        """`flush` for asyncio."""
        await asyncio.to_thread(self.flush, timeout_s)

    @property
    def unacknowledged(self) -> int:
        """Counters that were added and are not known to be durable."""
        return self._held_counters

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Take no more counters, flush, disconnect. Closing again does nothing.

        Raises:
            NotAcknowledged: as `flush`; the client is closed all the same and has let go of the counters.
        """
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
        try:
            self.flush(timeout_s)
        finally:
            self._packer.stop()
            self._thread.join()
            if self._own_producer:
                self._own_producer.close(timeout_s=1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def _has_room(self, size_bytes: int) -> bool:
        return (
            self._held_counters < self._limits.unacknowledged_counters
            and self._held_bytes + size_bytes <= self._limits.unacknowledged_bytes
        )

    def _release(self, safe: list[Held]) -> None:
        """Forget acknowledged counters; called with the lock held."""
        self._held_counters -= len(safe)
        self._held_bytes -= sum(held.size_bytes for held in safe)
        self._changed.notify_all()

    def _oldest_held(self) -> int:
        first = self._incoming[0].sequence if self._incoming else self._added + 1
        return min(first, self._packer.oldest_sequence(default=first))

    def _all_held(self) -> list[Held]:
        return sorted([*self._packer.held(), *self._incoming])

    def _run(self) -> None:
        while self._packer.wait_for_work(self._incoming):
            self._packer.pump(self._incoming)


def _connect(settings: Settings, limits: ClientLimits) -> KafkaRecordProducer:
    connection = KafkaRecordProducer(
        settings,
        ProducerLimits(
            ack_timeout_s=limits.ack_timeout_s,
            # One record per counter is the worst case: each on a partition of its own, flushed one by one.
            unacked_records_max=limits.unacknowledged_counters,
            unacked_bytes_max=limits.unacknowledged_bytes,
        ),
    )
    connection.start()
    return connection
