"""What the sinks' tests share: topics and records, a role in a thread or a process, and an HTTP receiver."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

from cryptography.fernet import Fernet
from pydantic import BaseModel

from deploy.local.settings import REPOSITORY
from schemas.catalog import Endpoint, catalog_key
from schemas.derived import Line
from schemas.errors import BrokerUnavailable
from schemas.events import Delivery, EndpointStatus, LifecycleEvent
from schemas.identifiers import delivery_key, usage_key
from schemas.sealing import seal
from schemas.settings import Settings, load
from schemas.topics import CATALOG, DELIVERIES, EVENTS, LINES, OVERAGE, TOPICS, Topic
from sinks.health import Health
from sinks.kafka_client import Outgoing, Publisher, TopicReader
from sinks.webhooks.fanout import endpoint_partition
from tests.stack.kafka import TopicMaker
from tests.stack.threads import in_thread
from tests.stack.waiting import wait_until

SECRET_KEY = Fernet.generate_key().decode()
ENDPOINT_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
READY_WITHIN_S = 60.0
PARTITIONS = 3

Model = TypeVar("Model", bound=BaseModel)
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The topics of one test and the settings that lead to them."""

    variables: dict[str, str]

    @property
    def settings(self) -> Settings:
        """The settings a role of this test has."""
        return load(self.variables)

    def publish_overage(self, *records: tuple[str, bytes | None]) -> None:
        """Write records of `overage.v1`: key and value."""
        self._publish(OVERAGE, [Outgoing(key, value) for key, value in records])

    def publish_endpoint(self, *endpoints: Endpoint) -> None:
        """Let the catalog tell endpoints."""
        self._publish(CATALOG, [Outgoing(catalog_key(one), one.model_dump_json().encode()) for one in endpoints])

    def publish_events(self, *events: LifecycleEvent) -> None:
        """Write lifecycle events in this order."""
        keys = [usage_key(event.service, event.subscription or event.customer or "") for event in events]
        documents = [event.model_dump_json().encode() for event in events]
        self._publish(EVENTS, [Outgoing(key, document) for key, document in zip(keys, documents, strict=True)])

    def publish_raw_event(self, value: bytes) -> None:
        """Write any value as an event."""
        self._publish(EVENTS, [Outgoing(usage_key("nexamaps", "sub-1"), value)])

    def publish_garbage(self, topic: Topic) -> None:
        """Write a record nobody can read."""
        self._publish(topic, [Outgoing("no/key", b"\x00 garbage")])

    def lines(self) -> list[Line]:
        """All records of `lines.v1`, oldest first per key."""
        return self._read(LINES, Line)

    def deliveries(self) -> dict[str, Delivery]:
        """The last state of each delivery, by event id."""
        return {
            delivery.event_id: delivery for delivery in self._read(DELIVERIES, Delivery, lambda key: key[:1] != b":")
        }

    def deliveries_of(self, event_id: str) -> dict[int, Delivery]:
        """The last state of an event's delivery to each endpoint."""
        return {one.endpoint_id: one for one in self.all_deliveries() if one.event_id == event_id}

    def all_deliveries(self) -> list[Delivery]:
        """Every state of every delivery; later ones behind earlier ones of the same."""
        return self._read(DELIVERIES, Delivery, lambda key: key[:1] != b":")

    def raw_records(self) -> Iterator[bytes]:
        """All that was ever written on all topics: keys, values and headers."""
        for topic in TOPICS:
            with closing(TopicReader(self.settings, self.settings.topic(topic))) as reader:
                for record in reader.read_to_end():
                    yield b" ".join([record.key or b"", record.value or b"", *(value for _, value in record.headers)])

    def statuses(self) -> dict[int, EndpointStatus]:
        """The last status of each endpoint that has one."""
        return {
            status.endpoint_id: status
            for status in self._read(DELIVERIES, EndpointStatus, lambda key: key.startswith(b":"))
        }

    def publish_delivery(self, delivery: Delivery) -> None:
        """Write a state of a delivery, as an operator's command does."""
        key = delivery_key(delivery.event_id, delivery.endpoint_id)
        partition = endpoint_partition(delivery.endpoint_id, PARTITIONS)
        self._publish(DELIVERIES, [Outgoing(key, delivery.model_dump_json().encode(), partition)])

    def publish(self, topic: Topic, *records: Outgoing) -> None:
        """Write any records."""
        self._publish(topic, records)

    def _publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        """Write all records, again if need be: a sink has to bear the same record twice."""

        def write() -> None:
            with closing(Publisher(self.settings)) as publisher:
                publisher.publish(self.settings.topic(topic), records)

        _once_the_broker_is_there(write)

    def _read(self, topic: Topic, model: type[Model], wanted: Callable[[bytes], bool] = lambda _: True) -> list[Model]:
        """The records of a topic that have a value and a wanted key; later ones behind earlier ones."""

        def read() -> list[Model]:
            with closing(TopicReader(self.settings, self.settings.topic(topic))) as reader:
                return [
                    model.model_validate_json(record.value)
                    for record in reader.read_to_end()
                    if record.value is not None and wanted(record.key or b"")
                ]

        return _once_the_broker_is_there(read)


def _once_the_broker_is_there(work: Callable[[], Done]) -> Done:
    """Do it, again while a broker that was just started or resumed does not serve it yet."""
    deadline_s = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            return work()
        except BrokerUnavailable:
            if time.monotonic() > deadline_s:
                raise


def make_pipeline(bootstrap: str, prefix: str, topics: TopicMaker, **variables: str) -> Pipeline:
    """Create the topics of the sinks and return what leads to them."""
    for topic in TOPICS:
        topics(topic.name, topic.partitions or PARTITIONS, {"cleanup.policy": topic.cleanup})
    return Pipeline(
        {
            "FUSION_KAFKA_BOOTSTRAP": bootstrap,
            "FUSION_TOPIC_PREFIX": prefix,
            "FUSION_SECRET_KEY": SECRET_KEY,
            "FUSION_WEBHOOK_ALLOW_PRIVATE": "true",
            "FUSION_WEBHOOK_FIRST_WAIT_S": "0.1",
            **variables,
        }
    )


@contextmanager
def running(role: Callable[[threading.Event, Health], None]) -> Iterator[Health]:
    """Run a role in a thread until the block ends; its failure is the test's."""
    health = Health()
    with in_thread(lambda stop: role(stop, health)):
        yield health


@contextmanager
def process(role: str, variables: dict[str, str], log_path: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a role as the process it is in production; killed at the end, its log shown if the block fails.

    `log_path`: keep the log there.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FUSION_")}
    command = [sys.executable, "-c", "from deploy.cli import main; main()", role]
    with TemporaryFile() if log_path is None else log_path.open("a+b") as log:
        child = subprocess.Popen(command, cwd=REPOSITORY, env=inherited | variables, stdout=log, stderr=log)
        try:
            yield child
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace"))
            raise
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()


def stop_politely(child: subprocess.Popen[bytes]) -> int:
    """Send SIGTERM and return the exit code."""
    child.send_signal(signal.SIGTERM)
    return child.wait(READY_WITHIN_S)


def endpoint(number: int, url: str, *secrets: str, **facts: Any) -> Endpoint:
    """Return an endpoint of the service `nexamaps`, its secrets sealed."""
    sealed = tuple(seal(secret, SECRET_KEY) for secret in secrets or (ENDPOINT_SECRET,))
    return Endpoint(id=number, service="nexamaps", url=url, sealed_secrets=sealed, **facts)


def event(event_id: str, subscription: str = "sub-1", event_type: str = "invoice.paid") -> LifecycleEvent:
    """Return a lifecycle event."""
    return LifecycleEvent(
        id=event_id,
        type=event_type,
        time=datetime(2026, 7, 1, tzinfo=UTC),
        service="nexamaps",
        subscription=subscription,
        data={"name": "Zoé", "amount": "113.00"},
    )


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        """The event's id, from the body."""
        return str(json.loads(self.body)["id"])


@dataclass
class Receiver:
    """An app's back end: keeps every request and answers what the test scripted, then 200.

    A path under /hang is never answered before `release`.
    """

    requests: list[Received] = field(default_factory=list)
    answers: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=lambda: defaultdict(list))
    release: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def ids(self, path: str) -> list[str]:
        """The event ids received on a path, in order."""
        return [request.event_id for request in list(self.requests) if request.path == path]

    def wait_for(self, path: str, count: int, deadline_s: float = 60.0) -> list[Received]:
        """Return the requests on a path once there are so many."""

        def enough() -> list[Received]:
            found = [request for request in list(self.requests) if request.path == path]
            assert len(found) >= count, f"{len(found)} requests on {path}"
            return found

        return wait_until(enough, deadline_s, f"{count} requests on {path}")


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve a receiver on a free loopback port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size_bytes = int(self.headers["content-length"])
            body = self.rfile.read(size_bytes)
            if len(body) < size_bytes:
                return  # the sender was killed in the middle of its request
            receiver.requests.append(Received(self.path, dict(self.headers.items()), body))
            if self.path.startswith("/hang"):
                receiver.release.wait()
            script = receiver.answers[self.path]
            status, headers = script.pop(0) if script else (200, {})
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: a killed sender breaks its connection."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="receiver")
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
