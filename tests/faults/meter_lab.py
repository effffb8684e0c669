"""A meter under test: its topics, seeded load with the reference model told of it, and the verdict."""

from __future__ import annotations

import gc
import json
import random
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from deploy.local import kafka_client
from schemas.topics import REJECTED_BYTES_MAX
from tests.faults.load import SUBSCRIPTIONS, Load, under_load
from tests.faults.quiet import QUIET_WITHIN_S, Quiet
from tests.faults.reference_model import SERVICE, Model, catalog
from tests.faults.verdict import Published, Refusals, Verdict, judge, newest, refusals
from tests.faults.victims import Victim
from tests.faults.workers import Worker, running
from tests.stack.reading import Tail, read_cold
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["MeterLab", "Victim", "Worker", "open_lab", "running", "under_load"]

PARTITIONS = 3
_ACKNOWLEDGED_WITHIN_S = 60.0
# Segments of a second, so that the broker really compacts what a cold reader then reads.
_COMPACTED = {"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01"}


@dataclass(slots=True)
class MeterLab:
    """The topics of one test on one broker, and everything that reads and writes them."""

    bootstrap: str
    prefix: str
    folder: Path
    partitions: int = PARTITIONS
    seed: int = 1
    model: Model = field(default_factory=Model)
    published: int = 0
    load: Load = field(init=False)
    quiet: Quiet = field(init=False)
    _producer: Any = None

    def open(self) -> None:
        """Create the topics and write the catalog that the model assumes."""
        self.load = Load(self, random.Random(self.seed))
        self._create({"usage.v1": self.partitions, "events.v1": 1}, {})
        self._create({"rejected.v1": self.partitions}, {"max.message.bytes": str(REJECTED_BYTES_MAX)})
        self._create({"catalog.v1": 1, "totals.v1": 2, "overage.v1": 2, "lines.v1": 2}, _COMPACTED)
        self._producer = self._new_producer()
        self.quiet = Quiet(Tail(self.bootstrap, self.prefix + "totals.v1"), self.partitions)

    def close(self) -> None:
        """Let go of the broker."""
        self.quiet.totals.close()
        if self._producer is not None:
            self._producer.close(timeout=2)

    def tell_catalog(self, records: dict[str, dict[str, Any] | None]) -> None:
        """Publish catalog records; null deletes."""
        for key, value in records.items():
            raw = None if value is None else json.dumps(value).encode()
            self._producer.send(self.prefix + "catalog.v1", key=key.encode(), value=raw, partition=0)
        self._producer.flush(timeout=_ACKNOWLEDGED_WITHIN_S)

    def publish(self, raw: bytes, key: str | None = None, partition: int | None = None) -> tuple[int, int]:
        """Publish one usage record; returns its place once it is acknowledged."""
        sent = self._producer.send(
            self.prefix + "usage.v1", key=None if key is None else key.encode(), value=raw, partition=partition
        )
        placed = sent.get(timeout=_ACKNOWLEDGED_WITHIN_S)
        self.published += 1
        return placed.partition, placed.offset

    def write(self, topic: str, key: str, value: dict[str, Any] | None) -> None:
        """Write a derived record past the meter, as damage would."""
        raw = None if value is None else json.dumps(value).encode()
        self._producer.send(self.prefix + topic, key=key.encode(), value=raw).get(timeout=_ACKNOWLEDGED_WITHIN_S)

    def publish_in_transaction(self, raw: bytes, key: str, *, commit: bool) -> tuple[int, int]:
        """Publish one usage record in a transaction of an outside producer, and commit or abort it."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=f"{self.prefix}outside")
        try:
            producer.init_transactions()
            producer.begin_transaction()
            placed = producer.send(self.prefix + "usage.v1", key=key.encode(), value=raw).get(_ACKNOWLEDGED_WITHIN_S)
            (producer.commit_transaction if commit else producer.abort_transaction)()
            return placed.partition, placed.offset
        finally:
            producer.close(timeout=5)

    def publish_counters(self, *rows: dict[str, Any]) -> tuple[int, int]:
        """Publish counters of one subscription where its key belongs, and tell the model."""
        raw = json.dumps({"service": SERVICE, "counters": rows}).encode()
        place = self.publish(raw, key=f"{SERVICE}/{rows[0]['subscription']}")
        self.model.take(*place, raw)
        return place

    def pass_records(self, count: int) -> None:
        """Return once so many more records have been published by whoever publishes."""
        target = self.published + count
        wait_until(lambda: self.published >= target, _ACKNOWLEDGED_WITHIN_S, f"{count} more records published")

    def latest(self, topic: str) -> dict[str, dict[str, Any]]:
        """What a cold reader of a compacted topic holds: the greatest version of each key, which is its last word."""
        return newest(self.read(topic))

    def rejected(self) -> dict[tuple[int, int], list[Refusals]]:
        """The refusals by source record, once per record of the topic."""
        return refusals(self.read("rejected.v1"))

    def read(self, topic: str) -> list[Any]:
        """All committed records of a topic, oldest first per partition."""
        return read_cold(self.bootstrap, self.prefix + topic)

    def verdict(self) -> Verdict:
        """How far what a cold reader finds now is from the model."""
        return judge(
            Published(self.read("totals.v1"), self.read("overage.v1"), self.read("rejected.v1")),
            self.model,
        )

    def wait_until_exact(self) -> None:
        """Return when everything is exactly the model's; fail with the difference if it never is."""

        def check() -> bool:
            self.verdict().require()
            return True

        wait_until(check, QUIET_WITHIN_S, "the meter's output equal to the model's")

    def verdict_when_quiet(self) -> Verdict:
        """The verdict once the meter has nothing left to say; nobody may publish meanwhile."""
        self.wait_until_quiet()
        return self.verdict()

    def wait_until_quiet(self) -> None:
        """Return when whatever came of the usage so far is published."""
        self.quiet.wait(self.publish_counters)

    def move_group(self, offsets: dict[int, int]) -> None:
        """Set the committed offsets of the meter's group, as an operator could while it is stopped."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            places = {
                TopicPartition(self.prefix + "usage.v1", partition): OffsetAndMetadata(offset, "", -1)
                for partition, offset in offsets.items()
            }
            admin.alter_group_offsets(self.prefix + "meter", places)
        finally:
            admin.close()

    def wait_for_empty_group(self) -> None:
        """Return once the meter's group has no members, so that its offsets can be moved."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        name = self.prefix + "meter"
        try:
            wait_until(lambda: not admin.describe_groups([name])[name]["members"], 30, "no members in the group")
        finally:
            admin.close()

    def end_offsets(self) -> dict[int, int]:
        """The ends of the usage log."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        try:
            places = [TopicPartition(self.prefix + "usage.v1", number) for number in range(self.partitions)]
            return {place.partition: end for place, end in consumer.end_offsets(places).items()}
        finally:
            consumer.close()

    def worker(self, name: str = "meter-0", **settings: str) -> Worker:
        """A meter as in production, not started yet; the same name finds the same snapshots."""
        return Worker(name, self._variables(name, settings), self.folder / f"{name}.log")

    def victim(self, name: str = "meter-0", mutant: str | None = None, **settings: str) -> Victim:
        """A meter that can be disturbed at its failpoints and may carry a planted bug, not started yet."""
        return Victim(name, self._variables(name, settings), self.folder / f"{name}.log", mutant=mutant)

    def _variables(self, name: str, settings: dict[str, str]) -> dict[str, str]:
        return {
            "FUSION_KAFKA_BOOTSTRAP": self.bootstrap,
            "FUSION_TOPIC_PREFIX": self.prefix,
            "FUSION_METER_DATA_DIR": str(self.folder / name),
            "FUSION_METER_WORKER_ID": name,
            "FUSION_METER_FLUSH_S": "0.1",
            "FUSION_METER_SNAPSHOT_S": "0.5",
            **{f"FUSION_{key.upper()}": value for key, value in settings.items()},
        }

    def _create(self, topics: dict[str, int], config: dict[str, str]) -> None:
        kafka_client.create_topics(self.bootstrap, {self.prefix + name: n for name, n in topics.items()}, config)

    def _new_producer(self) -> Any:
        return KafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            enable_idempotence=True,
            max_in_flight_requests_per_connection=1,
            reconnect_backoff_max_ms=500,
            max_block_ms=60_000,
        )


@contextmanager
def open_lab(bootstrap: str, prefix: str, folder: Path) -> Iterator[MeterLab]:
    """A lab with its topics and the model's catalog on them; what it leaves behind is found in its own test."""
    lab = MeterLab(bootstrap, prefix, folder)
    lab.open()
    lab.tell_catalog(dict(catalog(SUBSCRIPTIONS)))
    yield lab
    lab.close()
    gc.collect()
