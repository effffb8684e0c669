"""A world for the webhook sink in memory: a log, receivers, and a process that can die at any numbered step.

Steps are what the outside can see: a record written, an offset committed, a request sent, an answer received. Fan-out,
dispatcher, sender, book and writer are the real ones.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from cryptography.fernet import Fernet

from schemas.catalog import Endpoint
from schemas.events import Delivery, DeliveryState, LifecycleEvent
from schemas.sealing import seal
from schemas.settings import Settings, load
from sinks.kafka_client import Outgoing, Publisher, Record, TopicReader
from sinks.webhooks import journal, sender
from sinks.webhooks.clock import Clock
from sinks.webhooks.connecting import Network
from sinks.webhooks.directory import Directory
from sinks.webhooks.dispatcher import Dispatcher
from sinks.webhooks.fanout import FanOut
from sinks.webhooks.http import tls_context
from sinks.webhooks.journal import JournalWriter, Turn
from sinks.webhooks.state import Answer

KEY = Fernet.generate_key().decode()
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
TLS = tls_context()
_DRAINED_WITHIN_S = 60.0


class Crash(BaseException):
    """The process is gone."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a receiver saw it."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        """The event's id."""
        return str(json.loads(self.body)["id"])


@dataclass
class World:
    """What outlives a process: the topics and the receivers. `commits_first` plants a mistake in the fan-out."""

    events: list[LifecycleEvent]
    endpoints: list[Endpoint] = field(default_factory=list)
    answers: Callable[[Request, int], Answer] = lambda _, __: Answer(200)
    clock: Clock = field(default_factory=Clock)
    variables: dict[str, str] = field(default_factory=dict)
    log: list[Record] = field(default_factory=list)
    committed: int = 0
    requests: list[Request] = field(default_factory=list)
    accepted: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    crash_at: int = 0
    commits_first: bool = False

    @property
    def settings(self) -> Settings:
        """Settings whose waits are milliseconds."""
        return load(
            {
                "FUSION_SECRET_KEY": KEY,
                "FUSION_WEBHOOK_ALLOW_PRIVATE": "true",
                "FUSION_WEBHOOK_FIRST_WAIT_S": "0.0005",
                "FUSION_WEBHOOK_RATE_PER_S": "10000",
                **self.variables,
            }
        )

    def step(self) -> None:
        """Die here if this is the step to die at. Once dead, nothing more happens."""
        self.steps += 1
        if self.crash_at and self.steps >= self.crash_at:
            raise Crash

    def publish(self, _: str, records: Sequence[Outgoing]) -> None:
        """Take the part of a publisher; the process may die before each record, and after the last."""
        for one in records:
            self.step()
            number = len(self.log)
            written_ms = int(self.clock.now().timestamp() * 1000)
            self.log.append(Record("deliveries.v1", 0, number, written_ms, one.key.encode(), one.value, one.headers))
        self.step()

    def partitions_of(self, _: str) -> int:
        """One is enough."""
        return 1

    def read_to_end(self) -> Iterator[Record]:
        """Take the part of the catalog."""
        for one in self.endpoints:
            yield Record("catalog.v1", 0, 0, 0, f"endpoint/{one.id}".encode(), one.model_dump_json().encode())

    def receive(self, request: Request) -> Answer:
        """Take the part of a receiver."""
        self.step()
        self.requests.append(request)
        answer = self.answers(request, sum(one.event_id == request.event_id for one in self.requests))
        self.accepted[request.event_id] += answer.is_success
        self.step()
        return answer

    def deliveries(self) -> dict[str, Delivery]:
        """The last word on each delivery, by key, as compaction would leave it."""
        last = {(record.key or b"").decode(): record.value for record in self.log}
        return {
            key: Delivery.model_validate_json(value) for key, value in last.items() if value and not key.startswith(":")
        }

    @property
    def is_drained(self) -> bool:
        """Tell whether all events are fanned out and nothing is pending."""
        states = [one.state for one in self.deliveries().values()]
        return self.committed == len(self.events) and DeliveryState.PENDING not in states


def live(world: World, monkeypatch: pytest.MonkeyPatch, until: Callable[[], bool] | None = None) -> bool:
    """Run one process until everything is drained (or `until`), or it dies; tell whether it lived."""

    class Client:
        def __init__(self, network: Network) -> None:
            assert network

        async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
            await asyncio.sleep(0)
            return world.receive(Request(url, dict(headers), body))

        async def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(sender, "EndpointClient", Client)
    monkeypatch.setattr(journal, "_GATHER_S", 0.0)  # saves time, and no step depends on it
    with ThreadPoolExecutor(1) as threads, asyncio.Runner() as runner:
        network = Network(TLS, threads, 1.0, allow_private=True)
        try:
            runner.run(_work(world, network, until or (lambda: world.is_drained)))
        except Crash:
            return False
        return True


async def _work(world: World, network: Network, until: Callable[[], bool]) -> None:
    directory, settings = Directory(), world.settings
    publisher = cast("Publisher", world)
    fan_out = FanOut(settings, cast("TopicReader", world), directory, publisher)
    writer = JournalWriter(settings, publisher, world.clock.now)
    dispatcher = Dispatcher(settings, directory, writer, network, world.clock)
    fan_out.refresh()
    crashed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    parts = (writer.run, dispatcher.run, lambda: _read(world, dispatcher, fan_out))
    tasks = [asyncio.create_task(_guard(part, crashed)) for part in parts]
    try:
        async with asyncio.timeout(_DRAINED_WITHIN_S):
            while not until():
                if crashed.done():
                    raise Crash
                await asyncio.sleep(0.001)
    finally:
        dispatcher.stop()
        for task in (*tasks, *(one for one in asyncio.all_tasks() if one is not asyncio.current_task())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _guard(part: Callable[[], Coroutine[Any, Any, None]], crashed: asyncio.Future[Any]) -> None:
    try:
        await part()
    except Crash:
        if not crashed.done():
            crashed.set_result(None)


async def _read(world: World, dispatcher: Dispatcher, fan_out: FanOut) -> None:
    read = 0
    while True:
        new, read = world.log[read:], len(world.log)
        dispatcher.take(Turn(frozenset(), new, frozenset({0})))
        events = world.events[world.committed :]
        if events:
            records = [_event_record(world.committed + n, one) for n, one in enumerate(events)]
            if world.commits_first:
                world.committed += len(records)
                world.step()
            for settled in fan_out.write(records):
                world.step()
                world.committed += 0 if world.commits_first else len(settled)
        fan_out.refresh()
        await asyncio.sleep(0.001)


def _event_record(offset: int, event: LifecycleEvent) -> Record:
    return Record("events.v1", 0, offset, 1_000_000, b"k", event.model_dump_json().encode())


def endpoint(number: int = 1, url: str = "http://a/hook", **facts: Any) -> Endpoint:
    """Return an endpoint of the service `maps`."""
    return Endpoint(id=number, service="maps", url=url, sealed_secrets=(seal(SECRET, KEY),), **facts)


def event(event_id: str, subscription: str | None = "sub-1", time: datetime | None = None) -> LifecycleEvent:
    """Return an event of the service `maps`."""
    at = time or datetime.now(UTC)
    return LifecycleEvent(id=event_id, type="invoice.paid", time=at, service="maps", subscription=subscription)


def by_event(requests: Sequence[Request]) -> dict[str, list[Request]]:
    """Return the requests of each event, in their order."""
    found: dict[str, list[Request]] = defaultdict(list)
    for one in requests:
        found[one.event_id].append(one)
    return found
