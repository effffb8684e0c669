"""From publishing a counter to reading it in totals.v1, at a steady rate, seen by a reader of committed records."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict, deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deploy.bench.common import kafka_io
from deploy.bench.common.errors import BenchmarkFailed
from deploy.bench.meter.measure import derived_ends, wait_published
from schemas import topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.bench.common.kafka_io import Incoming, Outgoing
    from deploy.bench.meter.load import Load
    from deploy.bench.meter.process import Meter
    from deploy.bench.meter.scenario import Scenario

_SNAPSHOTS = "fusion_snapshot_duration_seconds_count"


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles over all counters of the load, in seconds; `snapshots` were finished meanwhile."""

    counters: int
    counters_per_second: float
    p50_s: float
    p95_s: float
    p99_s: float
    longest_s: float
    snapshots: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A container: where it lies, when it was handed to the client, and its counters per subscription."""

    offset: int
    sent_at: float
    counters: dict[str, int]


def measure_latency(meter: Meter, scenario: Scenario, load: Load, rate: int) -> Latency:
    """Send the load at `rate` counters per second and time each counter; adds to what the scenario expects."""
    records = list(load.records(scenario.expected))
    start = derived_ends(scenario)
    snapshots = _snapshots(meter)
    with _listening(scenario, start) as heard:
        sent, lasted_s = _send(scenario, records, load.per_record / rate)
        scenario.ends = kafka_io.end_offsets(scenario.broker.bootstrap, scenario.usage)
        wait_published(scenario, {})
    latencies = latencies_of(sent, heard)
    p50, p95, p99 = (float(each) for each in np.percentile(latencies, [50, 95, 99]))
    return Latency(
        counters=load.counters,
        counters_per_second=load.counters / lasted_s,
        p50_s=p50,
        p95_s=p95,
        p99_s=p99,
        longest_s=float(latencies.max()),
        snapshots=_snapshots(meter) - snapshots,
    )


def latencies_of(sent: Sequence[Sent], heard: Sequence[Incoming]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds for each counter: until the first total of its subscription that counts its record, or a later one.

    Raises: BenchmarkFailed when a counter never arrived.
    """
    waiting: dict[str, deque[Sent]] = defaultdict(deque)
    for container in sent:
        for subscription in container.counters:
            waiting[subscription].append(container)
    latencies: list[float] = []
    for record in heard:
        total = json.loads(record.value or b"{}")
        name, applied_offset = total["subscription"], total["version"][1]
        while waiting[name] and waiting[name][0].offset <= applied_offset:
            container = waiting[name].popleft()
            latencies += [record.read_at - container.sent_at] * container.counters[name]
    if lost := sum(map(len, waiting.values())):
        raise BenchmarkFailed(f"{lost} containers' counters were not seen in totals.v1")
    return np.array(latencies)


def _send(scenario: Scenario, records: Sequence[Outgoing], interval_s: float) -> tuple[list[Sent], float]:
    """Send one record every `interval_s`, whatever the broker does meanwhile; returns also how long that took."""
    with kafka_io.publisher(scenario.broker.bootstrap, scenario.usage, linger_ms=0) as out:
        began_at = time.monotonic()
        acks = []
        for number, record in enumerate(records):
            if (early_s := began_at + number * interval_s - time.monotonic()) > 0:
                time.sleep(early_s)
            acks.append((time.monotonic(), out.send(record)))
        lasted_s = time.monotonic() + interval_s - began_at
        offsets = [acked() for _, acked in acks]
    return [
        Sent(offset, sent_at, _counters(record))
        for record, (sent_at, _), offset in zip(records, acks, offsets, strict=True)
    ], lasted_s


def _counters(record: Outgoing) -> dict[str, int]:
    columns = json.loads(record.value)["columns"]
    counts = np.bincount(columns["subscription"], minlength=len(columns["subscriptions"]))
    return dict(zip(columns["subscriptions"], counts.tolist(), strict=True))


@contextmanager
def _listening(scenario: Scenario, start: dict[str, dict[int, int]]) -> Iterator[list[Incoming]]:
    """The records of totals.v1 as they come, complete when the block ends."""
    heard: list[Incoming] = []
    over = threading.Event()
    totals = scenario.prefix + topics.TOTALS.name
    with kafka_io.follower(scenario.broker.bootstrap, [totals], start) as reader:

        def listen() -> None:
            while not over.is_set():
                heard.extend(reader.poll(0.05))

        thread = threading.Thread(target=listen, name="bench-listener", daemon=True)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()
        heard.extend(reader.drain())


def _snapshots(meter: Meter) -> int:
    return int(meter.samples().get(_SNAPSHOTS, {}).get("", 0))
