"""Knows what is due in the partitions this worker has, and hands it to the sender. One event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from itertools import islice

from schemas.events import Delivery, EndpointStatus
from schemas.settings import Settings
from sinks import metrics
from sinks.kafka_client import Record
from sinks.webhooks.attempts import Attempts
from sinks.webhooks.book import Book, Seen
from sinks.webhooks.clock import Clock
from sinks.webhooks.connecting import Network
from sinks.webhooks.directory import Directory
from sinks.webhooks.glance import glance_at
from sinks.webhooks.journal import JournalWriter, Turn, read_journal
from sinks.webhooks.sender import Hooks, Sender

_TICK_S = 0.5
_STARTS_PER_TURN = 1_000  # the event loop has other work between
_SWEEP_S = 60.0
_EXPIRED_PER_SWEEP = 1_000
_STOP_MARGIN_S = 5.0


async def restate(book: Book, last_word: Delivery, write: Callable[[Delivery], Awaitable[bytes]]) -> None:
    """Write a state again, and whatever an attempt has made of it meanwhile: that may lie before it in the log."""
    state: Delivery | None = last_word
    while state is not None and not book.is_closed:
        await write(state)
        state = book.newer_than(state)


class Dispatcher:
    """Owns the books of the assigned partitions."""

    def __init__(
        self, settings: Settings, directory: Directory, writer: JournalWriter, network: Network, clock: Clock
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._clock = clock
        self._attempts = Attempts(settings, directory, writer, clock)
        self._books: dict[int, Book] = {}
        self._complete: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._failure: BaseException | None = None
        self._sweep_at_s = clock.monotonic() + _SWEEP_S
        hooks = Hooks(self._spawn, self._wake.set)
        self._sender = Sender(settings, self._attempts, writer, network, hooks, clock)

    def take(self, turn: Turn) -> None:
        """Take in what the journal brought. A partition's deliveries are sent only once all of it is read."""
        for partition in turn.revoked:
            # Running attempts finish and write their result; the new owner may repeat them, with the same id.
            book = self._books.pop(partition, None)
            if book is not None:
                book.is_closed = True
            self._complete.discard(partition)
        for record in turn.records:
            self._apply(record)
        self._complete |= turn.complete
        metrics.WEBHOOK_PENDING.set(sum(len(book) for book in self._books.values()))
        metrics.WEBHOOK_PARTITIONS.set(len(self._complete))
        self._wake.set()

    async def run(self) -> None:
        """Send until `stop`; then wait for the running attempts, which the deadline bounds.

        A failure of ours in any attempt ends the role: a lane that nobody frees would stand still unseen.
        """
        while not self._is_stopping:
            self._wake.clear()
            self._start_due()
            await self._sweep()
            pause_s = self._pause_s()
            if pause_s == 0:
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
        self._sender.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.webhook_timeout_s + _STOP_MARGIN_S)
        await self._sender.close()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Start no more attempts."""
        self._is_stopping = True
        self._sender.stop()
        self._wake.set()

    def _apply(self, record: Record) -> None:
        book = self._books.get(record.partition)
        if book is None:
            book = self._books[record.partition] = Book()
        key = (record.key or b"").decode(errors="replace")
        if record.value is None:
            if key.startswith(":"):
                self._attempts.standings.forget(int(key[1:]) if key[1:].isdecimal() else 0)
                return
            last_word = book.forget(key)
        elif record.partition in self._complete and self._writer.is_echo(key, record.value):
            return  # not while a partition is read anew: its book knows nothing yet
        else:
            state = glance_at(record.value) or read_journal(record)
            if state is None:
                return
            if isinstance(state, EndpointStatus):
                self._attempts.standings.apply(state)
                return
            last_word = book.apply(
                state, Seen(record.value, self._clock.due_s(state), max(0, record.timestamp_ms // 1000))
            )
        if last_word is not None:
            self._spawn(restate(book, last_word, self._writer.write))

    def _start_due(self) -> None:
        now_s = self._clock.monotonic()
        for partition in self._complete:
            book = self._books.get(partition)
            if book is not None:
                for entry in islice(book.take_due(now_s), _STARTS_PER_TURN):
                    self._sender.send(book, entry)

    async def _sweep(self) -> None:
        """Once a minute: bury what ended long ago, close connections nobody needs."""
        if self._clock.monotonic() < self._sweep_at_s:
            return
        self._sweep_at_s = self._clock.monotonic() + _SWEEP_S
        await self._sender.close_idle()
        before = self._clock.now() - timedelta(days=self._settings.webhook_keep_days)
        before_s = int(before.timestamp())
        for partition in self._complete:
            keys = self._books[partition].take_expired(before_s, _EXPIRED_PER_SWEEP) if partition in self._books else []
            if keys:
                metrics.WEBHOOK_EXPIRED.inc(len(keys))
                self._spawn(self._writer.bury(keys, partition))

    def _pause_s(self) -> float:
        dues = [book.next_due_s() for part, book in self._books.items() if part in self._complete]
        now_s = self._clock.monotonic()
        return max(0.0, min([_TICK_S, *(due_s - now_s for due_s in dues if due_s is not None)]))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self.stop()
