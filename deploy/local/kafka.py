"""A real Kafka broker in KRaft mode, from Maven Central's jars.

Steps, each skipped when its result is there: download → format → configure → start → ready.
"""

from __future__ import annotations

import base64
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local import kafka_client, programs
from deploy.local.files import fingerprint, write_private
from deploy.local.ports import HOST, accepts
from deploy.local.processes import Launch

if TYPE_CHECKING:
    from deploy.local.layout import Layout
    from deploy.local.ports import Ports
    from deploy.local.processes import Processes
    from deploy.local.progress import Progress
    from deploy.local.settings import LocalSettings

ROLE = "kafka"
_POM = Path(__file__).with_name("kafka-pom.xml")
_COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_JARS_MB = 61
_MINUTES_OF_100_DAYS = 100 * 24 * 60

_SERVER = """\
# Generated at each start; settings are FUSION_LOCAL_*.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}{detour_listener}
advertised.listeners=PLAINTEXT://{host}:{port}{detour_advertised}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,DETOUR:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
# One broker holds everything.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A group that was away for a holiday must find its offsets again.
offsets.retention.minutes={offsets_retention_minutes}
group.initial.rebalance.delay.ms=0
# After kill -9 the next start waits until the dead broker's registration expires (default 9 s).
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""
_LOGGING = """\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=CONSOLE
appender.console.type=Console
appender.console.name=CONSOLE
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c: %m%n
"""


@dataclass(frozen=True, slots=True)
class Detour:
    """A second listener whose clients are told to come by another port: that of a proxy in front of it."""

    port: int
    advertised_port: int


@dataclass(frozen=True, slots=True)
class Kafka:
    """The broker of one stack."""

    layout: Layout
    settings: LocalSettings
    ports: Ports
    processes: Processes
    progress: Progress
    detour: Detour | None = None

    @property
    def bootstrap(self) -> str:
        """The address clients connect to."""
        return f"{HOST}:{self.ports.of(ROLE)}"

    def ensure_running(self) -> None:
        """Return once the broker answers; start it, and first whatever that needs, unless it runs."""
        self._download()
        with self.progress.step("Kafka: start"):
            self.processes.ensure(ROLE, self._start, self.is_ready, self.settings.ready_within_s)

    def is_ready(self) -> bool:
        """True when the broker answers a metadata request."""
        return accepts(self.ports.of(ROLE)) and kafka_client.answers(self.bootstrap)

    @property
    def is_downloaded(self) -> bool:
        """True when the broker's jars are there."""
        return self._libs.is_dir()

    @property
    def _libs(self) -> Path:
        return self.layout.shared / "kafka" / fingerprint([], [_POM])

    @property
    def _data(self) -> Path:
        return self.layout.data / "kafka"

    def _download(self) -> None:
        if self.is_downloaded:
            return
        maven = programs.find("mvn")
        partial = self._libs.with_suffix(".partial")
        repository = self.layout.cache / "m2"
        with self.progress.step("Kafka: download the broker", growing=repository, about_mb=_JARS_MB):
            programs.run(
                [
                    *(maven, "--batch-mode", "--quiet", "--file", str(_POM)),
                    f"-Dmaven.repo.local={repository}",
                    *(_COPY_GOAL, "-DincludeScope=runtime", f"-DoutputDirectory={partial}"),
                ]
            )
        shutil.rmtree(self._libs, ignore_errors=True)
        partial.rename(self._libs)

    def _start(self) -> None:
        config = self._configure()
        if not (self._data / "meta.properties").exists():
            self._format(config)
        self.processes.start(
            ROLE,
            Launch(
                argv=[*self._java(), "kafka.Kafka", str(config)],
                env=programs.clean_environment(),
                cwd=self.layout.stack,
            ),
        )

    def _configure(self) -> Path:
        port, controller_port = self.ports.before_start(ROLE), self.ports.before_start("kafka-controller")
        config = self.layout.run / "kafka.properties"
        text = _SERVER.format(
            host=HOST,
            port=port,
            controller_port=controller_port,
            detour_listener=f",DETOUR://{HOST}:{self.detour.port}" if self.detour else "",
            detour_advertised=f",DETOUR://{HOST}:{self.detour.advertised_port}" if self.detour else "",
            data=self._data,
            offsets_retention_minutes=_MINUTES_OF_100_DAYS,
        )
        write_private(config, text)
        write_private(self._logging, _LOGGING)
        return config

    def _format(self, config: Path) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        argv = [*self._java(), "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(config)]
        programs.run(argv, cwd=self.layout.stack)

    @property
    def _logging(self) -> Path:
        return self.layout.run / "kafka-log4j2.properties"

    def _java(self) -> list[str]:
        return [
            programs.find("java"),
            *(f"-Xms{self.settings.kafka_heap_mb}m", f"-Xmx{self.settings.kafka_heap_mb}m"),
            *("-XX:+UseSerialGC", "-Xshare:auto", "-Djava.awt.headless=true"),
            *(["-XX:TieredStopAtLevel=1"] if self.settings.kafka_fast_start else []),
            f"-Dlog4j2.configurationFile={self._logging}",
            f"-Dkafka.logs.dir={self.layout.log}",
            *("-cp", f"{self._libs}/*"),
        ]


def new_cluster_id() -> str:
    """A fresh KRaft cluster id: 16 random bytes, base64url; no leading dash, it would read as an option."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text
