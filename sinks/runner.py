"""The loop of a sink: poll, write, commit; pause while a neighbour is away; drop what a rebalance took."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Protocol, TypeVar

import structlog

from schemas.errors import BrokerUnavailable, OwnershipLost, Unavailable
from sinks import metrics
from sinks.backoff import wait_s
from sinks.cursor import Cursor
from sinks.health import Health
from sinks.kafka_client import GroupConsumer, Record

log = structlog.get_logger()

_POLL_S = 0.2

Made = TypeVar("Made")


class Sink(Protocol):
    """Where the records go."""

    name: metrics.Sink

    def write(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Write the records in steps; yield after each step the records that need no more work.

        Writing a record again must change nothing. Raises Unavailable when a neighbour is away: what was not
        yielded comes again.
        """
        ...


class Runner:
    """Drives one sink from one consumer. Memory is bounded: nothing more is read while records wait.

    `on_revoked` hears of partitions that went to another owner before any record of them is read again.
    """

    def __init__(
        self,
        consumer: GroupConsumer,
        sink: Sink,
        health: Health,
        now_s: Callable[[], float] = time.monotonic,
        on_revoked: Callable[[Collection[int]], None] | None = None,
    ) -> None:
        self._consumer = consumer
        self._sink = sink
        self._health = health
        self._now_s = now_s
        self._on_revoked = on_revoked
        self._cursor = Cursor()
        self._committed: dict[int, int] = {}
        self._pending: list[Record] = []
        self._failures = 0
        self._retry_at_s = 0.0

    def run(self, stop_event: Event) -> None:
        """Work until `stop_event`; the batch in hand is finished, or left to the next owner."""
        while not stop_event.is_set():
            self.run_once()

    def run_once(self) -> None:
        """One turn: take in what was read, write it if its time has come, commit the settled prefix."""
        self._take_in()
        if self._pending and self._now_s() >= self._retry_at_s:
            self._write()
        self._commit()
        oldest_ms = min((record.timestamp_ms for record in self._pending), default=None)
        age_s = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
        metrics.SINK_OLDEST_PENDING_SECONDS.labels(self._sink.name).set(age_s)

    def _take_in(self) -> None:
        if self._pending:
            # Also covers partitions that came during the pause; their first records may still slip in.
            self._consumer.pause()
        try:
            records = self._consumer.poll(_POLL_S)
        except BrokerUnavailable as error:
            self._away(error)
            return
        self._drop_revoked()
        for record in records:
            self._cursor.begin(record.partition, record.offset)
        self._pending += records
        if self._failures and not self._pending:
            self._back()

    def _write(self) -> None:
        started_s = self._now_s()
        rows = len(self._pending)
        try:
            for settled in self._sink.write(self._pending):
                self._settle(settled)
                if self._drop_revoked():
                    return  # the rest of the batch may hold rows of another owner: begin anew
        except Unavailable as error:
            metrics.SINK_WRITE_SECONDS.labels(self._sink.name, "unavailable").observe(self._now_s() - started_s)
            self._away(error)
            return
        duration_s = self._now_s() - started_s
        metrics.SINK_WRITE_SECONDS.labels(self._sink.name, "written").observe(duration_s)
        log.info("sink.batch_written", sink=self._sink.name, records=rows, duration_s=round(duration_s, 3))
        self._back()

    def _settle(self, settled: Sequence[Record]) -> None:
        for record in settled:
            self._cursor.settle(record.partition, record.offset)
        done = {(record.partition, record.offset) for record in settled}
        self._pending = [record for record in self._pending if (record.partition, record.offset) not in done]

    def _commit(self) -> None:
        settled = dict(self._cursor.settled().items() - self._committed.items())
        if not settled:
            return
        try:
            self._consumer.commit(settled)
        except OwnershipLost as error:
            # The rows are written and the new owner writes them again, which changes nothing.
            metrics.SINK_COMMITS_REFUSED.labels(self._sink.name).inc()
            log.warning("sink.commit_refused", sink=self._sink.name, error=str(error))
        except BrokerUnavailable as error:
            log.warning("sink.commit_put_off", sink=self._sink.name, error=str(error))
            return
        self._committed.update(settled)

    def _drop_revoked(self) -> bool:
        revoked = self._consumer.take_revoked()
        for partition in revoked:
            self._cursor.drop(partition)
            self._committed.pop(partition, None)
        if revoked and self._on_revoked is not None:
            self._on_revoked(revoked)
        if revoked:
            self._pending = [record for record in self._pending if record.partition not in revoked]
            log.info("sink.partitions_revoked", sink=self._sink.name, partitions=sorted(revoked))
        return bool(revoked)

    def _away(self, error: Unavailable) -> None:
        self._failures += 1
        pause_s = wait_s(self._failures, error.retry_after_s)
        self._retry_at_s = self._now_s() + pause_s
        self._health.note(self._sink.name, works=False)
        log.warning(
            "sink.paused", sink=self._sink.name, failures=self._failures, retry_s=pause_s, error=str(error)[:500]
        )

    def _back(self) -> None:
        if self._failures:
            log.info("sink.resumed", sink=self._sink.name, failures=self._failures)
        self._failures = 0
        self._health.note(self._sink.name, works=True)
        self._consumer.resume()


@contextmanager
def beside(part: Callable[[Event], None], stop_event: Event) -> Iterator[None]:
    """Run `part` in a thread of its own until `stop_event`; if it fails, everything stops and its error is ours."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            part(stop_event)
        except BaseException as error:  # noqa: BLE001 -- raised again below, in the caller's thread
            failures.append(error)
            stop_event.set()

    thread = threading.Thread(target=work, name="beside")
    thread.start()
    try:
        yield
    finally:
        stop_event.set()
        thread.join()
    if failures:
        raise failures[0]


def when_available(make: Callable[[], Made], stop_event: Event) -> Made | None:
    """Return what `make` makes, trying again while it raises Unavailable; null once `stop_event` is set."""
    failures = 0
    while not stop_event.is_set():
        try:
            return make()
        except Unavailable as error:
            failures += 1
            pause_s = wait_s(failures, error.retry_after_s)
            log.warning("sink.waits_for_neighbour", failures=failures, retry_s=pause_s, error=str(error)[:500])
            stop_event.wait(pause_s)
    return None
