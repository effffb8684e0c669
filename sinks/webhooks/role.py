"""Main of the role `webhook-sink`: one thread fans events out, one reads the journal, the event loop sends."""

import asyncio
import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from threading import Event

import structlog

from schemas.errors import BrokerUnavailable
from schemas.settings import Settings
from schemas.topics import CATALOG, EVENTS
from sinks.health import Health
from sinks.kafka_client import GroupConsumer, Publisher, TopicReader
from sinks.runner import Runner, when_available
from sinks.webhooks.clock import Clock
from sinks.webhooks.connecting import Network
from sinks.webhooks.directory import Directory
from sinks.webhooks.dispatcher import Dispatcher
from sinks.webhooks.fanout import FanOut
from sinks.webhooks.http import tls_context
from sinks.webhooks.journal import JournalReader, JournalWriter, Turn

log = structlog.get_logger()

_POLL_S = 0.2
_EVENTS_PER_POLL = 200
_BROKER_AWAY_S = 1.0
_GATHER_S = 0.01  # fuller polls cost the broker and us less; a delivery is that much later at most
_GC_THRESHOLDS = (20_000, 20, 50)
_RESOLVER_THREADS = 32  # their own: names that hang must not take the threads that Kafka is read and written with


def run(settings: Settings, stop_event: Event, health: Health | None = None) -> None:
    """Deliver lifecycle events until `stop_event`; then let running attempts finish, write their result, return.

    Several of these share events and endpoints. All state is in Kafka: a killed one's work goes on elsewhere.
    """
    health = health or Health()
    # A million waiting deliveries are no garbage: looking through all of them less often speeds up a rebuild.
    gc.set_threshold(*_GC_THRESHOLDS)
    # Their INFO lines name whole URLs, which may carry a receiver's token.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with ExitStack() as closing:
        parts = _Parts(settings, health, closing, stop_event)
        if parts.is_stopped:
            return
        health.note("starting", works=True)
        log.info("webhook_sink.started", topic=settings.topic(EVENTS))
        asyncio.run(_work(settings, parts, stop_event))
    log.info("webhook_sink.stopped")


class _Parts:
    """What the role is made of; waits for the broker and its topics. `is_stopped`: the stop came first."""

    def __init__(self, settings: Settings, health: Health, closing: ExitStack, stop_event: Event) -> None:
        self.is_stopped = True
        self.directory = Directory()
        self.resolver_threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolver")
        closing.callback(self.resolver_threads.shutdown, wait=False, cancel_futures=True)
        publisher = when_available(lambda: Publisher(settings), stop_event)
        if publisher is None:
            return
        closing.callback(publisher.close)
        catalog = when_available(lambda: TopicReader(settings, settings.topic(CATALOG)), stop_event)
        if catalog is None:
            return
        closing.callback(catalog.close)
        self.publisher = publisher
        self.fan_out = FanOut(settings, catalog, self.directory, publisher)
        if not when_available(self.fan_out.refresh, stop_event):
            return
        group = f"{settings.topic_prefix}webhook-fanout"
        events = when_available(
            lambda: GroupConsumer(
                settings, settings.topic(EVENTS), group, _EVENTS_PER_POLL, settings.webhook_worker_id or None
            ),
            stop_event,
        )
        if events is None:
            return
        closing.callback(events.close)
        self.fan_out_runner = Runner(events, self.fan_out, health)
        journal = when_available(lambda: JournalReader(settings), stop_event)
        if journal is None:
            return
        closing.callback(journal.close)
        self.journal = journal
        self.is_stopped = False


async def _work(settings: Settings, parts: _Parts, stop_event: Event) -> None:
    writer = JournalWriter(settings, parts.publisher)
    network = Network(
        tls_context(),
        parts.resolver_threads,
        settings.webhook_timeout_s,
        settings.webhook_allow_private,
    )
    dispatcher = Dispatcher(settings, parts.directory, writer, network, Clock())
    halt, close = Event(), Event()
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(_fan_out, parts, halt))
        group.create_task(asyncio.to_thread(_follow_journal, parts.journal, dispatcher, loop, close))
        writing = group.create_task(writer.run())
        sending = group.create_task(dispatcher.run())
        try:
            await asyncio.to_thread(_wait, stop_event, halt)
            halt.set()
            dispatcher.stop()
            # The journal's partitions stay ours until the last attempt is written down.
            await sending
        finally:
            halt.set()
            close.set()
            writing.cancel()


def _wait(stop_event: Event, halt: Event) -> None:
    while not halt.is_set() and not stop_event.wait(_POLL_S):
        pass


def _fan_out(parts: _Parts, halt: Event) -> None:
    while not halt.is_set():
        parts.fan_out_runner.run_once()
        # Also without events: a mended URL or a new secret must reach the attempts that wait.
        with suppress(BrokerUnavailable):
            parts.fan_out.refresh()


def _follow_journal(
    journal: JournalReader, dispatcher: Dispatcher, loop: asyncio.AbstractEventLoop, close: Event
) -> None:
    async def take(turn: Turn) -> None:
        dispatcher.take(turn)

    while not close.is_set():
        try:
            turn = journal.poll(_POLL_S)
        except BrokerUnavailable as error:
            log.warning("webhook.journal_unreadable", error=str(error)[:500])
            close.wait(_BROKER_AWAY_S)
            continue
        # Waits until it is taken in: bounds what lies between the two threads.
        asyncio.run_coroutine_threadsafe(take(turn), loop).result()
        if turn.records and journal.is_current:
            close.wait(_GATHER_S)
