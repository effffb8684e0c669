"""What a measurement runs on: topics, endpoints, events, a sink of one or more processes, and the receivers."""

from __future__ import annotations

import http.client
import json
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet

from deploy.bench.common import kafka_io
from deploy.bench.common.child import Child, running
from deploy.bench.common.scrape import is_ready, scrape
from deploy.bench.common.waiting import wait_until
from deploy.bench.webhooks.receivers import SECRET
from deploy.local import kafka_client, programs
from deploy.local.ports import HOST, draw_free_port
from deploy.local.settings import REPOSITORY
from schemas.catalog import Endpoint, catalog_key
from schemas.events import LifecycleEvent
from schemas.identifiers import usage_key
from schemas.sealing import seal
from schemas.topics import CATALOG, DELIVERIES, EVENTS, Topic, topic_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from deploy.bench.common.broker import BenchBroker

SERVICE = "bench"
PARTITIONS = 4
_READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Receivers:
    """The receivers' process and where it listens."""

    child: Child
    port: int

    def url(self, path: str) -> str:
        """Address of an endpoint."""
        return f"http://{HOST}:{self.port}{path}"

    def count(self) -> int:
        """Deliveries that came since the last report."""
        return int(self._get("/count"))

    def report(self) -> dict[str, Any]:
        """All that came since the last one: {arrivals: [[path, event id, monotonic seconds]], forged, disordered}."""
        report: dict[str, Any] = self._get("/report")
        return report

    def _get(self, path: str) -> Any:
        self.child.check_alive()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def receivers(folder: Path) -> Iterator[Receivers]:
    """The receivers, answering."""
    port = draw_free_port()
    argv = [sys.executable, "-m", "deploy.bench.webhooks.receivers", str(port)]
    with running("the receivers", argv, programs.clean_environment(), folder / "receivers.log", REPOSITORY) as child:
        found = Receivers(child, port)

        def answers() -> bool:
            try:
                return found.count() == 0
            except OSError:
                return False

        wait_until(answers, _READY_WITHIN_S, "the receivers answer")
        yield found


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of the sink."""

    child: Child
    ops_port: int

    def metric(self, name: str, label: str = "") -> float:
        """A metric now; 0 while it is not there."""
        self.child.check_alive()
        return scrape(self.ops_port).get(name, {}).get(label, 0.0)


@dataclass(slots=True)
class Scenario:
    """Topics of one measurement below a prefix of their own."""

    broker: BenchBroker
    prefix: str
    folder: Path
    secret_key: str

    @classmethod
    def create(cls, broker: BenchBroker, name: str, folder: Path) -> Scenario:
        """Fresh topics."""
        scenario = cls(broker, f"{broker.prefix}{name}.", folder, Fernet.generate_key().decode())
        for topic in (CATALOG, EVENTS, DELIVERIES):
            partitions = {scenario.topic(topic): topic.partitions or PARTITIONS}
            kafka_client.create_topics(broker.bootstrap, partitions, topic_config(topic))
        return scenario

    def topic(self, topic: Topic) -> str:
        """Full name of a topic."""
        return self.prefix + topic.name

    def publish_endpoints(self, urls: Mapping[int, str], *, active: bool = True) -> None:
        """Let the catalog tell endpoints that want all events, or none of them while they are not active."""
        sealed = seal(SECRET, self.secret_key)
        endpoints = [
            Endpoint(id=n, service=SERVICE, url=url, sealed_secrets=(sealed,), active=active) for n, url in urls.items()
        ]
        with kafka_io.publisher(self.broker.bootstrap, self.topic(CATALOG)) as publisher:
            publisher.publish_all(
                kafka_io.Outgoing(one.model_dump_json().encode(), catalog_key(one).encode()) for one in endpoints
            )

    def publish_events(self, events: Iterable[LifecycleEvent], gap_s: float = 0.0) -> dict[str, float]:
        """Publish events, one every `gap_s`; return when each was handed over (monotonic seconds)."""
        handed_over: dict[str, float] = {}
        with kafka_io.publisher(self.broker.bootstrap, self.topic(EVENTS), linger_ms=0) as publisher:
            next_s = time.monotonic()
            for event in events:
                time.sleep(max(0.0, next_s - time.monotonic()))
                next_s += gap_s
                handed_over[event.id] = time.monotonic()
                key = usage_key(SERVICE, event.subscription or "").encode()
                publisher.send(kafka_io.Outgoing(event.model_dump_json().encode(), key))
        return handed_over

    @contextmanager
    def sink(self, workers: int, **variables: str) -> Iterator[list[Worker]]:
        """So many processes of the sink, ready."""
        own = {
            "FUSION_KAFKA_BOOTSTRAP": self.broker.bootstrap,
            "FUSION_TOPIC_PREFIX": self.prefix,
            "FUSION_SECRET_KEY": self.secret_key,
            "FUSION_WEBHOOK_ALLOW_PRIVATE": "true",
            "FUSION_WEBHOOK_RATE_PER_S": "100000",
            **variables,
        }
        clean = {name: value for name, value in programs.clean_environment().items() if not name.startswith("FUSION_")}
        command = programs.find("fusion-billing", Path(sys.executable).parent)
        with ExitStack() as stack:
            found = []
            for number in range(workers):
                port = draw_free_port()
                env = {**clean, **own, "FUSION_OPS_PORT": str(port)}
                log = self.folder / f"sink-{number}.log"
                child = stack.enter_context(running("the sink", [command, "webhook-sink"], env, log, REPOSITORY))
                found.append(Worker(child, port))
            wait_until(lambda: all(is_ready(one.ops_port) for one in found), _READY_WITHIN_S, "the sink is ready")
            yield found


def event(number: int, subscriptions: int) -> LifecycleEvent:
    """Event `number`; its subscription's events are numbered in order."""
    return LifecycleEvent(
        id=f"evt_{number:08d}-4c1e-4f6e-9d53-7a2f8f3b1e90",
        type="invoice.paid",
        time=datetime(2026, 7, 1, tzinfo=UTC),
        service=SERVICE,
        subscription=f"sub-{number % subscriptions:06d}",
        data={"sequence": number, "amount": "113.00", "currency": "CAD", "invoice": f"INV/2026/{number:05d}"},
    )
