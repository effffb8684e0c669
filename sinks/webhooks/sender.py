"""Makes the attempts: endpoint by endpoint, within its limits, each result written down before the next step."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from schemas.events import DeliveryState
from schemas.settings import Settings
from sinks import metrics
from sinks.webhooks.attempts import HELD_MAX, Attempts
from sinks.webhooks.book import Book, Entry, Seen
from sinks.webhooks.channel import Channel
from sinks.webhooks.clock import Clock
from sinks.webhooks.connecting import Network
from sinks.webhooks.glance import Whole
from sinks.webhooks.http import EndpointClient
from sinks.webhooks.journal import JournalWriter
from sinks.webhooks.limits import Breaker, Slot, Slots, TokenBucket, Trust
from sinks.webhooks.schedule import scale_of
from sinks.webhooks.state import given_up

_LOOK_AGAIN_S = 1.0
_OUR_FAULT_PAUSE_S = 5.0
_GIVEN_UP_PER_LOOK = 100
_SLOW_S = 1.0
_STARVED_PER_TURN = 2
_PATIENCE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Hooks:
    """`spawn` runs a task whose failure ends the role; `on_settled` is called after each result."""

    spawn: Callable[[Coroutine[None, None, None]], None]
    on_settled: Callable[[], None]


class Sender:
    """Owns the channels, and decides which of their deliveries is attempted next. One event loop."""

    def __init__(
        self,
        settings: Settings,
        attempts: Attempts,
        writer: JournalWriter,
        network: Network,
        hooks: Hooks,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._attempts = attempts
        self._writer = writer
        self._network = network
        self._hooks = hooks
        self._clock = clock
        self._scale = scale_of(settings.webhook_schedule, settings.webhook_first_wait_s)
        self._slots = Slots(settings.webhook_in_flight)
        self._channels: dict[int, Channel] = {}
        # Those that wait for a slot of the worker's.
        self._starved: dict[Trust, dict[int, Channel]] = {trust: {} for trust in Trust}
        self._is_stopping = False

    def send(self, book: Book, entry: Entry) -> None:
        """Attempt a delivery as soon as the limits let it, then settle it in `book`."""
        channel = self._channels.get(entry.endpoint_id) or self._open(entry.endpoint_id)
        channel.enqueue(book, entry)
        self._fill(channel)

    def stop(self) -> None:
        """Start no more attempts."""
        self._is_stopping = True

    async def close_idle(self) -> None:
        """Close the connections of endpoints that have nothing to do; they open again when there is something."""
        for channel in [channel for channel in self._channels.values() if channel.is_idle]:
            del self._channels[channel.endpoint_id]
            await channel.client.close()

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            if channel.timer is not None:
                channel.timer.cancel()
            await channel.client.close()
        self._channels.clear()

    def _open(self, endpoint_id: int) -> Channel:
        settings = self._settings
        channel = self._channels[endpoint_id] = Channel(
            endpoint_id,
            EndpointClient(self._network),
            TokenBucket(settings.webhook_rate_per_s, self._clock.monotonic()),
            Breaker(self._scale),
            settings.webhook_endpoint_in_flight,
            opened_s=self._clock.monotonic(),
        )
        return channel

    def _fill(self, channel: Channel) -> None:
        while channel.waiting and not channel.is_full and not self._is_stopping:
            wait_s = self._wait_s(channel)
            if wait_s > 0:
                self._fill_later(channel, wait_s)
                return
            slot = self._slots.take(channel.trust)
            if slot is None:
                self._starved[channel.trust][channel.endpoint_id] = channel
                return
            book, entry = channel.waiting.popleft()
            if book.is_closed:
                self._slots.give_back(slot)
                continue
            channel.bucket.take()
            channel.in_flight += 1
            self._hooks.spawn(self._attempt(channel, book, entry, slot))

    def _wait_s(self, channel: Channel) -> float:
        """Return how long this channel rests: for its endpoint, then for its limits. An open breaker holds no slot."""
        reason = self._attempts.obstacle(channel.endpoint_id)
        wait_s = _LOOK_AGAIN_S if reason else channel.wait_s(self._clock.monotonic())
        if not reason and not channel.breaker.is_closed:
            reason = "breaker"
        if wait_s > 0 and reason:
            metrics.WEBHOOK_HELD.labels(reason).inc()
            self._give_up_old(channel, reason)
        return wait_s

    def _give_up_old(self, channel: Channel, reason: str) -> None:
        held_max = HELD_MAX[reason]
        if self._clock.monotonic() - channel.opened_s < min(held_max, _PATIENCE).total_seconds():
            return  # an old event is no reason to give up what has only just come
        before = self._clock.now() - held_max
        for book, entry in channel.take_older(before, _GIVEN_UP_PER_LOOK):
            if not book.is_closed:
                self._hooks.spawn(self._end(book, entry, given_up(entry.whole(), f"held for too long: {reason}")))

    def _fill_later(self, channel: Channel, wait_s: float) -> None:
        def fill() -> None:
            channel.timer = None
            self._fill(channel)

        if channel.timer is None:
            channel.timer = asyncio.get_running_loop().call_later(wait_s, fill)

    async def _attempt(self, channel: Channel, book: Book, entry: Entry, slot: Slot) -> None:
        slow = asyncio.get_running_loop().call_later(_SLOW_S, self._note_slow, channel, slot)
        try:
            after, answer = await self._attempts.make(entry.whole(), channel.client)
            slow.cancel()
            if answer is not None and not answer.is_ours:
                channel.trust = Trust.PROVEN if answer.is_success else Trust.SUSPECT
                channel.breaker.note(success=answer.is_success, now_s=self._clock.monotonic())
            if after is None:
                channel.paused_until_s = self._clock.monotonic() + _OUR_FAULT_PAUSE_S * self._scale
                channel.waiting.appendleft((book, entry))
            else:
                await self._end(book, entry, after)
        finally:
            slow.cancel()
            # The slot is free only now: while states cannot be written, little is sent that a crash would repeat.
            self._slots.give_back(slot)
            channel.in_flight -= 1
            self._fill(channel)
            self._fill_starved()

    def _note_slow(self, channel: Channel, slot: Slot) -> None:
        channel.trust = Trust.SUSPECT
        self._slots.note_slow(slot)
        self._fill_starved()

    def _fill_starved(self) -> None:
        # One slot may have become free, for endpoints of any kind: those that answer first, in the order they came.
        for starved in self._starved.values():
            for endpoint_id in list(islice(starved, _STARVED_PER_TURN)):
                self._fill(starved.pop(endpoint_id))

    async def _end(self, book: Book, entry: Entry, after: Whole) -> None:
        record = await self._writer.write(after)
        last_word = book.settle(
            entry, after, Seen(record, self._clock.due_s(after), int(self._clock.now().timestamp()))
        )
        if last_word is not None:
            await self._writer.write(last_word)
        if after.state is not DeliveryState.PENDING:
            metrics.WEBHOOK_SETTLED.labels(after.state.value).inc()
        self._hooks.on_settled()
