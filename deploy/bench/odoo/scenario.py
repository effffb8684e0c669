"""Topics of one run and the product's own processes on them."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet

from deploy.bench.common import kafka_io
from deploy.bench.common.child import Child, running
from deploy.bench.common.scrape import is_ready
from deploy.bench.common.waiting import wait_until
from deploy.bench.odoo.books import PARTITIONS
from deploy.local import kafka_client, programs
from deploy.local.ports import draw_free_port
from deploy.local.settings import REPOSITORY
from schemas.topics import OVERAGE, TOPICS, Topic, topic_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deploy.bench.common.broker import BenchBroker
    from deploy.bench.common.kafka_io import Outgoing
    from deploy.bench.odoo.server import BenchOdoo

_READY_WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Fresh topics below the run's prefix, and an Odoo."""

    broker: BenchBroker
    odoo: BenchOdoo
    folder: Path
    secret_key: str

    @classmethod
    def create(cls, broker: BenchBroker, odoo: BenchOdoo, folder: Path) -> Scenario:
        """All topics of the product."""
        for topic in TOPICS:
            partitions = {broker.prefix + topic.name: topic.partitions or PARTITIONS}
            kafka_client.create_topics(broker.bootstrap, partitions, topic_config(topic))
        return cls(broker, odoo, folder, Fernet.generate_key().decode())

    def topic(self, topic: Topic) -> str:
        """Full name of a topic."""
        return self.broker.prefix + topic.name

    def topic_group(self, role: str) -> str:
        """Name of a role's consumer group."""
        return self.broker.prefix + role

    def publish(self, overages: Iterable[Outgoing]) -> int:
        """Put records on `overage.v1`; returns how many, once Kafka has them all."""
        with kafka_io.publisher(self.broker.bootstrap, self.topic(OVERAGE)) as publisher:
            return publisher.publish_all(overages)

    @contextmanager
    def role(self, name: str, **variables: str) -> Iterator[Child]:
        """One of the product's processes, ready."""
        port = draw_free_port()
        own = {
            **self.odoo.variables(),
            "FUSION_KAFKA_BOOTSTRAP": self.broker.bootstrap,
            "FUSION_TOPIC_PREFIX": self.broker.prefix,
            "FUSION_SECRET_KEY": self.secret_key,
            "FUSION_OPS_PORT": str(port),
            **variables,
        }
        clean = {key: value for key, value in programs.clean_environment().items() if not key.startswith("FUSION_")}
        command = programs.find("fusion-billing", Path(sys.executable).parent)
        with running(name, [command, name], clean | own, self.folder / f"{name}.log", REPOSITORY) as child:

            def ready() -> bool:
                child.check_alive()
                return is_ready(port)

            wait_until(ready, _READY_WITHIN_S, f"{name} is ready")
            yield child
            child.check_alive()
