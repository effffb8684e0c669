"""A real Kafka: one shared by all tests, whose topics are private to a test, and one to mistreat."""

from __future__ import annotations

import os
import secrets
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest

from deploy.local import kafka_client
from deploy.local.kafka import ROLE, Detour, Kafka
from deploy.local.layout import Layout
from deploy.local.ports import Ports, draw_free_port
from deploy.local.processes import Processes
from deploy.local.progress import Progress
from deploy.local.settings import REPOSITORY, LocalSettings
from tests.hostile.proxy import Proxy, proxy_to
from tests.stack.running import missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from deploy.local.stack import Stack


class TopicMaker(Protocol):
    """Creates a topic of the test's own and returns its full name."""

    def __call__(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Create `<topic_prefix><name>`."""
        ...


@pytest.fixture
def free_port() -> int:
    """A loopback port on which nothing listens."""
    return draw_free_port()


@pytest.fixture(scope="session")
def kafka_bootstrap(pytestconfig: pytest.Config, stack: Stack) -> str:
    """Address of the shared broker; use topics below `topic_prefix` only and never stop it."""
    if not stack.kafka.is_ready():
        missing(pytestconfig, "the tests' Kafka")
    return stack.kafka.bootstrap


@pytest.fixture
def topic_prefix(kafka_bootstrap: str) -> Iterator[str]:
    """FUSION_TOPIC_PREFIX of this test; whatever topics it made below it are deleted afterwards."""
    prefix = f"t{secrets.token_hex(6)}."
    yield prefix
    made = [name for name in kafka_client.topic_names(kafka_bootstrap) if name.startswith(prefix)]
    kafka_client.delete_topics(kafka_bootstrap, made)


@pytest.fixture
def topics(kafka_bootstrap: str, topic_prefix: str) -> TopicMaker:
    """Makes topics with as many partitions as the test wants."""

    def make(name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        full_name = topic_prefix + name
        kafka_client.create_topics(kafka_bootstrap, {full_name: partitions}, config)
        return full_name

    return make


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker of one test's own, to be stopped, killed, paused and started again; its address stays the same."""

    kafka: Kafka

    @property
    def bootstrap(self) -> str:
        """Its address."""
        return self.kafka.bootstrap

    def start(self) -> None:
        """Return once it answers; its data are those it had."""
        self.kafka.ensure_running()

    def stop(self) -> None:
        """Stop it the polite way."""
        self.kafka.processes.stop(ROLE)

    def kill(self) -> None:
        """Stop it as a power cut would."""
        self.kafka.processes.kill(ROLE)

    def pause(self) -> None:
        """It keeps its connections but answers nothing."""
        os.kill(self._pid(), signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        os.kill(self._pid(), signal.SIGCONT)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """A topic under exactly this name."""
        kafka_client.create_topics(self.bootstrap, {name: partitions})

    def _pid(self) -> int:
        pid = self.kafka.processes.pid(ROLE)
        if pid is None:
            raise ProcessLookupError("the broker does not run")
        return pid


@contextmanager
def private_broker(folder: Path, detour: Detour | None = None) -> Iterator[Broker]:
    """A running broker with its data in `folder`, and a way in through a proxy if asked for; killed at the end."""
    layout = Layout(repository=REPOSITORY, stack=folder)
    layout.create()
    # Fixed ports, or a start would move a broker whose port somebody took meanwhile.
    port, controller_port = draw_free_port(), draw_free_port()
    settings = LocalSettings(kafka_port=port, kafka_controller_port=controller_port, kafka_fast_start=True)
    ports = Ports(layout.run / "ports.json", {"kafka": port, "kafka-controller": controller_port})
    private = Broker(Kafka(layout, settings, ports, Processes(layout), Progress(), detour))
    try:
        private.start()
        yield private
    finally:
        private.kill()


@pytest.fixture
def broker(pytestconfig: pytest.Config, stack: Stack, tmp_path: Path) -> Iterator[Broker]:
    """A broker of this test's own, up in a few seconds."""
    if not stack.kafka.is_downloaded:
        missing(pytestconfig, "Kafka was not downloaded and")
    with private_broker(tmp_path / "broker") as private:
        yield private


@pytest.fixture
def proxied(pytestconfig: pytest.Config, stack: Stack, tmp_path: Path) -> Iterator[tuple[Broker, Proxy]]:
    """A broker of this test's own, and a proxy: whoever bootstraps from its port stays behind it."""
    if not stack.kafka.is_downloaded:
        missing(pytestconfig, "Kafka was not downloaded and")
    behind = draw_free_port()
    with (
        proxy_to(behind) as proxy,
        private_broker(tmp_path / "broker", Detour(behind, proxy.port)) as private,
    ):
        yield private, proxy
