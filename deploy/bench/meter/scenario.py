"""One set of topics with a load on it, which any engine may read from the oldest offset again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deploy.bench.common import kafka_io
from deploy.bench.meter import catalog
from deploy.bench.meter.load import Expected, Load
from deploy.bench.meter.plan import PARTITIONS
from producers import topics as topic_commands
from schemas import topics
from schemas.settings import load as load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deploy.bench.common.broker import BenchBroker
    from deploy.bench.common.kafka_io import Outgoing


@dataclass(slots=True)
class Scenario:
    """Topics below a prefix of their own, their load, and what must come of it."""

    broker: BenchBroker
    name: str
    folder: Path
    load: Load
    quota: int
    expected: Expected = field(default_factory=Expected)
    ends: dict[int, int] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """FUSION_TOPIC_PREFIX of its topics."""
        return f"{self.broker.prefix}{self.name}."

    @property
    def usage(self) -> str:
        """Its usage log."""
        return self.prefix + topics.USAGE.name

    @property
    def derived(self) -> list[str]:
        """The topics that the meter publishes its results on."""
        return [self.prefix + topics.TOTALS.name, self.prefix + topics.OVERAGE.name]

    def create(self, records: Iterable[Outgoing]) -> None:
        """Make the topics, the catalog and the usage log."""
        settings = load_settings(
            {}, kafka_bootstrap=self.broker.bootstrap, topic_prefix=self.prefix, topic_partitions=PARTITIONS
        )
        topic_commands.apply(settings)
        names = [name for names in self.load.subscriptions.values() for name in names]
        with kafka_io.publisher(self.broker.bootstrap, self.prefix + topics.CATALOG.name) as out:
            out.publish_all(catalog.entries(names, self.quota))
        self.publish(records)

    def publish(self, records: Iterable[Outgoing]) -> None:
        """Append to the usage log."""
        with kafka_io.publisher(self.broker.bootstrap, self.usage) as out:
            out.publish_all(records)
        self.ends = kafka_io.end_offsets(self.broker.bootstrap, self.usage)


def quota_for(load: Load) -> int:
    """A quota near the mean total, so that about half of the subscriptions are over it."""
    subscriptions = sum(map(len, load.subscriptions.values()))
    mean_quantity = 500
    return math.ceil(load.counters * (1 - load.replaced_share) * mean_quantity / subscriptions)
