"""Sends what is due, endpoint by endpoint, and writes down what came of it. One event loop."""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from schemas.catalog import Endpoint
from schemas.errors import ConfigurationError
from schemas.events import Delivery, DeliveryState
from schemas.sealing import open_sealed
from schemas.settings import Settings
from sinks import metrics
from sinks.kafka_client import Record
from sinks.webhooks.book import Book
from sinks.webhooks.directory import Directory
from sinks.webhooks.http import IN_FLIGHT_MAX, EndpointClient
from sinks.webhooks.journal import JournalWriter, Turn, read_delivery
from sinks.webhooks.schedule import schedule_of
from sinks.webhooks.signing import Attempt, headers_of
from sinks.webhooks.state import Answer, after_attempt, given_up

log = structlog.get_logger()

_LOOK_AGAIN_S = 5.0
_UNKNOWN_ENDPOINT_MAX = timedelta(minutes=15)  # this worker's catalog may lag behind the fan-out's
_INACTIVE_ENDPOINT_MAX = timedelta(days=5)
_TICK_S = 0.5


@dataclass(slots=True)
class _Channel:
    """One endpoint's connections and what waits for a free one; nothing here is shared with another endpoint."""

    client: EndpointClient
    in_flight: int = 0
    waiting: deque[tuple[Book, Delivery]] = field(default_factory=deque)


class Dispatcher:
    """Owns the books of the assigned partitions and runs the attempts."""

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        writer: JournalWriter,
        tls: ssl.SSLContext,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._writer = writer
        self._tls = tls
        self._now = now
        self._schedule = schedule_of(settings.webhook_schedule, settings.webhook_first_wait_s)
        self._books: dict[int, Book] = {}
        self._complete: set[int] = set()
        self._channels: dict[int, _Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._failure: BaseException | None = None
        self._jitter = random.Random()  # noqa: S311 -- spreads load, protects nothing

    def take(self, turn: Turn) -> None:
        """Take in what the journal brought. A partition's deliveries are sent only once all of it is read."""
        for partition in turn.revoked:
            # Running attempts finish and write their result; the new owner may repeat them, with the same id.
            self._books.pop(partition, None)
            self._complete.discard(partition)
        for record in turn.records:
            self._apply(record)
        self._complete |= turn.complete
        metrics.WEBHOOK_PENDING.set(sum(len(book) for book in self._books.values()))
        self._wake.set()

    async def run(self) -> None:
        """Send until `stop`; then wait for the running attempts, which the deadline bounds.

        A failure of ours in any attempt ends the role: a lane that nobody frees would stand still unseen.
        """
        while not self._stopping:
            self._start_due()
            self._wake.clear()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                continue
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.webhook_timeout_s + _LOOK_AGAIN_S)
        for channel in self._channels.values():
            await channel.client.close()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Start no more attempts."""
        self._stopping = True
        self._wake.set()

    def _apply(self, record: Record) -> None:
        book = self._books.setdefault(record.partition, Book())
        if record.value is None:
            book.forget((record.key or b"").decode(errors="replace"))
            return
        delivery = read_delivery(record)
        if delivery is None:
            return
        last_word = book.apply(delivery)
        if last_word is not None:
            self._spawn(self._writer.write(last_word))

    def _start_due(self) -> None:
        now = self._now()
        for partition in self._complete:
            book = self._books.get(partition)
            if book is None:
                continue
            for delivery in book.take_due(now):
                channel = self._channel(delivery.endpoint_id)
                channel.waiting.append((book, delivery))
                self._fill(channel)

    def _fill(self, channel: _Channel) -> None:
        while channel.waiting and channel.in_flight < IN_FLIGHT_MAX and not self._stopping:
            book, delivery = channel.waiting.popleft()
            if book not in self._books.values():
                continue  # revoked while it waited
            channel.in_flight += 1
            self._spawn(self._attempt(channel, book, delivery))

    async def _attempt(self, channel: _Channel, book: Book, delivery: Delivery) -> None:
        try:
            outcome = await self._outcome(channel, delivery)
            if isinstance(outcome, datetime):
                book.hold(delivery, outcome)
                return
            await self._writer.write(outcome)
            book.settle(outcome)
            if outcome.state is not DeliveryState.PENDING:
                metrics.WEBHOOK_SETTLED.labels(outcome.state.value).inc()
        finally:
            # The slot is free only now: while states cannot be written, little is sent that a crash would repeat.
            channel.in_flight -= 1
            self._fill(channel)
            self._wake.set()

    async def _outcome(self, channel: _Channel, delivery: Delivery) -> Delivery | datetime:
        """Return the next state, or until when to hold a delivery that cannot be attempted for a reason of ours."""
        now = self._now()
        endpoint = self._directory.get(delivery.endpoint_id)
        if endpoint is None or not endpoint.active:
            longest = _UNKNOWN_ENDPOINT_MAX if endpoint is None else _INACTIVE_ENDPOINT_MAX
            if now - delivery.created_at > longest:
                return given_up(delivery, "the endpoint is gone" if endpoint is None else "the endpoint is inactive")
            return self._held("endpoint")
        secrets = self._secrets(endpoint)
        if not secrets:
            return self._held("secret")
        attempt = Attempt(
            delivery.event_id, delivery.event_type, delivery.body.encode(), delivery.attempts + 1, int(now.timestamp())
        )
        answer = await channel.client.post(endpoint.url, attempt.body, headers_of(attempt, secrets))
        after = after_attempt(delivery, answer, self._schedule, self._now(), self._jitter.random())
        self._report(after, answer, (self._now() - now).total_seconds())
        return after

    def _held(self, reason: str) -> datetime:
        metrics.WEBHOOK_HELD.labels(reason).inc()
        return self._now() + timedelta(seconds=_LOOK_AGAIN_S)

    def _secrets(self, endpoint: Endpoint) -> list[str]:
        key = self._settings.secret_key.get_secret_value()
        try:
            return [open_sealed(sealed, key) for sealed in endpoint.sealed_secrets]
        except ConfigurationError as error:
            log.error("webhook.secret_not_opened", endpoint=endpoint.id, error=str(error))  # noqa: TRY400
            return []

    def _report(self, after: Delivery, answer: Answer, duration_s: float) -> None:
        metrics.WEBHOOK_ATTEMPTS.labels(answer.status_class).inc()
        metrics.WEBHOOK_ATTEMPT_SECONDS.observe(duration_s)
        (log.info if answer.is_success else log.warning)(
            "webhook.attempted",
            event_id=after.event_id,
            endpoint=after.endpoint_id,
            attempt=after.attempts,
            status=answer.status,
            error=answer.error,
            state=after.state.value,
            next_attempt_at=None if after.next_attempt_at is None else after.next_attempt_at.isoformat(),
            duration_s=round(duration_s, 3),
        )

    def _channel(self, endpoint_id: int) -> _Channel:
        channel = self._channels.get(endpoint_id)
        if channel is None:
            settings = self._settings
            client = EndpointClient(self._tls, settings.webhook_timeout_s, allow_private=settings.webhook_allow_private)
            channel = self._channels[endpoint_id] = _Channel(client)
        return channel

    def _pause_s(self) -> float:
        dues = [book.next_due_at() for part, book in self._books.items() if part in self._complete]
        waits_s = [(due - self._now()).total_seconds() for due in dues if due is not None]
        return max(0.0, min([_TICK_S, *waits_s]))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self.stop()
