"""A meter under test: its topics, its processes, seeded load with the reference model told of it, and the verdict."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from deploy.local import kafka_client
from deploy.local.settings import REPOSITORY
from tests.faults.reference_model import METRICS, SERVICE, Model, catalog
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITIONS = 3
SUBSCRIPTIONS = [f"s{number}" for number in range(7)] + ["with/slash"]
READY_WITHIN_S = 40.0
QUIET_WITHIN_S = 60.0
_ACKNOWLEDGED_WITHIN_S = 60.0


@dataclass(slots=True)
class MeterLab:
    """The topics of one test on one broker, and everything that reads and writes them."""

    bootstrap: str
    prefix: str
    folder: Path
    partitions: int = PARTITIONS
    model: Model = field(default_factory=Model)
    published: int = 0
    _producer: Any = None

    def open(self) -> None:
        """Create the topics and write the catalog that the model assumes."""
        compact = {"cleanup.policy": "compact"}
        self._create({"usage.v1": self.partitions, "rejected.v1": self.partitions}, {})
        self._create({"catalog.v1": 1, "totals.v1": 2, "overage.v1": 2, "lines.v1": 2}, compact)
        self._producer = self._new_producer()

    def close(self) -> None:
        """Let go of the broker."""
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
        """What a cold reader of a compacted topic holds: the greatest version of each key.

        The last word of each key must be that one as well, or compaction would take the truth away.
        """
        by_version: dict[str, dict[str, Any]] = {}
        last_word: dict[str, dict[str, Any]] = {}
        for record in self.read(topic):
            key, value = record.key.decode(), json.loads(record.value)
            last_word[key] = value
            if key not in by_version or value["version"] >= by_version[key]["version"]:
                by_version[key] = value
        assert last_word == by_version, "an older version is the last word of a key"
        return by_version

    def rejected(self) -> dict[tuple[int, int], list[list[tuple[int | None, str]]]]:
        """The refusals by source record, once per record of the topic."""
        found: dict[tuple[int, int], list[list[tuple[int | None, str]]]] = {}
        for record in self.read("rejected.v1"):
            value = json.loads(record.value)
            refusals = [(each["index"], each["reason"]) for each in value["refusals"]]
            found.setdefault((value["partition"], value["offset"]), []).append(refusals)
        return found

    def read(self, topic: str) -> list[Any]:
        """All committed records of a topic, oldest first per partition."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            reconnect_backoff_max_ms=1000,
        )
        try:
            name = self.prefix + topic
            places = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
            consumer.assign(places)
            ends = consumer.end_offsets(places)
            records: list[Any] = []
            while any(consumer.position(place) < ends[place] for place in places):
                for batch in consumer.poll(timeout_ms=200).values():
                    records += batch
            return records
        finally:
            consumer.close()

    def check(self) -> bool:
        """True when totals, overage and rejected are exactly the model's; else an assertion shows a difference."""
        totals = {
            key: (Decimal(value["quantity"]), value["counters"])
            for key, value in self.latest("totals.v1").items()
            if value["counters"] or Decimal(value["quantity"])
        }
        _assert_equal("totals", totals, self.model.totals())
        overages = {
            key: (Decimal(value["total"]), Decimal(value["amount"]))
            for key, value in self.latest("overage.v1").items()
            if value["counters"] or Decimal(value["amount"])
        }
        _assert_equal("overage", overages, self.model.overages())
        _assert_equal("rejected", self.rejected(), {key: [value] for key, value in self.model.rejected.items()})
        return True

    def wait_until_exact(self) -> None:
        """Return when everything is exactly the model's; fail with the difference if it never is."""
        wait_until(self.check, QUIET_WITHIN_S, "the meter's output equal to the model's")

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
        """A meter process of this name, not started yet; the same name finds the same snapshots."""
        variables = {
            "FUSION_KAFKA_BOOTSTRAP": self.bootstrap,
            "FUSION_TOPIC_PREFIX": self.prefix,
            "FUSION_METER_DATA_DIR": str(self.folder / name),
            "FUSION_METER_WORKER_ID": name,
            "FUSION_METER_FLUSH_S": "0.2",
            "FUSION_METER_SNAPSHOT_S": "1",
            **{f"FUSION_{key.upper()}": value for key, value in settings.items()},
        }
        return Worker(name, variables, self.folder / f"{name}.log")

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


@dataclass(slots=True)
class Worker:
    """One meter process, to be started, killed, paused and started again; `failures` counts its own ends."""

    name: str
    variables: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    _is_wanted: bool = False

    def start(self) -> None:
        """Start it; it may take a while until it works."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FUSION_")}
        command = [sys.executable, "-c", "from deploy.cli import main; main()", "meter"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=inherited | self.variables, stdout=log, stderr=log
            )
        self._is_wanted = True

    def stop(self) -> int:
        """Stop it the polite way and return its exit code."""
        self._is_wanted = False
        process = self._running()
        process.send_signal(signal.SIGTERM)
        return process.wait(READY_WITHIN_S)

    def kill(self) -> None:
        """Stop it as a power cut would."""
        self._is_wanted = False
        process = self._running()
        process.kill()
        process.wait()

    def pause(self) -> None:
        """It keeps its connections but does nothing."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        self._running().send_signal(signal.SIGCONT)

    def supervise(self) -> None:
        """Start it again if it has ended by itself."""
        if self._is_wanted and self.process is not None and self.process.poll() is not None:
            self.failures += 1
            self.start()

    def count(self, event: str) -> int:
        """How often it has logged an event."""
        return self.log.read_text(errors="replace").count(f'"event": "{event}"') if self.log.exists() else 0

    def wait_for(self, event: str, times: int = 1) -> None:
        """Return once it has logged an event so often."""
        wait_until(lambda: self.count(event) >= times, READY_WITHIN_S, f"{self.name}: {times} times {event}")

    def wait_for_more(self, event: str, times: int = 1) -> None:
        """Return once it has logged an event so often from now on."""
        self.wait_for(event, self.count(event) + times)

    def snapshots(self) -> list[Path]:
        """Its snapshot files, oldest first per partition."""
        return sorted(Path(self.variables["FUSION_METER_DATA_DIR"]).rglob("*.snapshot"))

    def end(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        self._is_wanted = False
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f"{self.name} does not run: …{self.tail()}")
        return self.process


@contextmanager
def running(*workers: Worker, may_fail: bool = False) -> Iterator[None]:
    """These workers run inside the block, under a supervisor, and are gone after it.

    Unless they may, none of them has ended by itself.
    """
    over = threading.Event()

    def supervise() -> None:
        while not over.wait(0.2):
            for worker in workers:
                worker.supervise()

    supervisor = threading.Thread(target=supervise, name="supervisor", daemon=True)
    try:
        for worker in workers:
            worker.start()
        supervisor.start()
        yield
    finally:
        over.set()
        supervisor.join()
        for worker in workers:
            worker.end()
    failed = [worker for worker in workers if worker.failures]
    if failed and not may_fail:
        raise AssertionError(f"{failed[0].name} ended by itself {failed[0].failures} times: …{failed[0].tail()}")


@contextmanager
def under_load(lab: MeterLab, seed: int) -> Iterator[None]:
    """Random counters come in all through the block: new, repeated, corrected, late, refused, and garbage."""
    stop, failures = threading.Event(), []
    load = Load(lab, random.Random(seed))

    def work() -> None:
        try:
            while not stop.wait(0.005):
                load.step()
        except Exception as error:  # noqa: BLE001 -- raised again below, in the test's thread
            failures.append(error)

    thread = threading.Thread(target=work, name="load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_ACKNOWLEDGED_WITHIN_S)
    if failures:
        raise failures[0]


@dataclass(slots=True)
class Load:
    """Seeded random usage."""

    lab: MeterLab
    random: random.Random
    sent: list[dict[str, Any]] = field(default_factory=list)

    def step(self) -> None:
        """Publish one record."""
        if self.random.random() < 0.03:
            raw = self.random.choice([b"\x00\xff garbage", b"{", b"[]", b'{"service":"maps"}', b""])
            place = self.lab.publish(raw, partition=self.random.randrange(self.lab.partitions))
            self.lab.model.take(*place, raw)
            return
        subscription = self.random.choice(SUBSCRIPTIONS)
        self.lab.publish_counters(*(self._counter(subscription) for _ in range(self.random.randint(1, 12))))

    def _counter(self, subscription: str) -> dict[str, Any]:
        earlier = [row for row in self.sent[-400:] if row["subscription"] == subscription]
        chance = self.random.random()
        if earlier and chance < 0.35:
            row = dict(self.random.choice(earlier))
            if chance < 0.25:
                row |= {"quantity": self._quantity(row["metric"]), "revision": self.random.randint(0, 2)}
            if chance < 0.05:
                row |= self._interval()
        else:
            metric = self.random.choice(sorted(METRICS))
            row = {
                "subscription": subscription,
                "metric": metric,
                "quantity": self._quantity(metric),
                "idempotency_key": f"k{self.random.randrange(400)}",
                "properties": {"seat": self.random.choice("abcdefg")},
                **self._interval(),
            }
        self.sent.append(row)
        return row

    def _quantity(self, metric: str) -> str:
        if self.random.random() < 0.02:
            return "1e400"
        if metric == "credits" or self.random.random() < 0.02:
            return str(-self.random.randint(1, 50))
        return self.random.choice(
            [str(self.random.randint(0, 60)), f"{self.random.random():.6f}", "0.000000000000000001", "1" + "0" * 20]
        )

    def _interval(self) -> dict[str, str]:
        month, day = self.random.choice([6, 7, 8]), self.random.randint(1, 28)
        return {
            "period_start": f"2026-{month:02}-{day:02}T00:00:00Z",
            "period_end": f"2026-{month:02}-{day:02}T01:00:00Z",
        }


def open_lab(bootstrap: str, prefix: str, folder: Path) -> MeterLab:
    """A lab with its topics and the model's catalog on them."""
    lab = MeterLab(bootstrap, prefix, folder)
    lab.open()
    lab.tell_catalog(dict(catalog(SUBSCRIPTIONS)))
    return lab


def _assert_equal(what: str, actual: dict[Any, Any], expected: dict[Any, Any]) -> None:
    if actual == expected:
        return
    differing = [key for key in actual.keys() | expected.keys() if actual.get(key) != expected.get(key)]
    shown = "; ".join(
        f"{key}: {actual.get(key)}, should be {expected.get(key)}" for key in sorted(differing, key=str)[:5]
    )
    raise AssertionError(f"{what}: {len(differing)} of {len(expected)} differ: {shown}")
