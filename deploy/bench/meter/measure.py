"""Timing one engine from the first counter applied to the last, and to the last total published."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deploy.bench.common import kafka_io
from deploy.bench.common.errors import BenchmarkFailed
from deploy.bench.common.waiting import wait_until
from deploy.bench.meter.process import applied_records
from deploy.bench.meter.verify import MeterResult, cold_meter_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploy.bench.meter.process import Meter
    from deploy.bench.meter.scenario import Scenario

# Each look costs the meter about a millisecond.
_POLL_S = 0.04
_STARTS_WITHIN_S = 120.0
_APPLIES_WITHIN_S = 90.0
_PUBLISHES_WITHIN_S = 60.0


class TooSlow(BenchmarkFailed):
    """The meter did not get through its records; `share` (0 to 1) of them it did."""

    def __init__(self, text: str, share: float) -> None:
        super().__init__(text)
        self.share = share


@dataclass(frozen=True, slots=True)
class Run:
    """One engine's run over a scenario's whole log. `applied_s` and `published_s` begin at the first counter.

    `faults` says where the result differs from what was sent; empty means verified. `cpu_s` is the whole process's,
    its start included; `applying_cpu_s` only that of the `applied_s`, where it can be told.
    """

    engine: str
    counters: int
    keys: int
    applied_s: float
    published_s: float
    cpu_s: float
    peak_rss_mib: float
    faults: list[str]
    is_finished: bool = True
    applying_cpu_s: float | None = None
    snapshots: int = 0
    start_s: float = 0.0

    @property
    def per_second(self) -> float:
        """Counters per second from the first to the last one applied."""
        return self.counters / self.applied_s

    @property
    def published_per_second(self) -> float:
        """Counters per second, the final publication included."""
        return self.counters / self.published_s


@dataclass(slots=True)
class Applied:
    """When the meter began and ended to apply; both a little pessimistic, by one look at its metrics."""

    began_at: float
    ended_at: float
    cpu_s: float
    progress: list[tuple[float, int]] = field(default_factory=list)


def wait_applied(
    meter: Meter, first: Mapping[int, int], ends: Mapping[int, int], within_s: float = _APPLIES_WITHIN_S
) -> Applied:
    """Wait until the records [first, ends) of every partition are in the stores, `within_s` of the first one.

    Raises: TooSlow.
    """
    wanted = sum(ends[number] - first.get(number, 0) for number in ends)
    began_at, began_cpu_s = time.monotonic(), meter.child.cpu_s()
    deadline = began_at + _STARTS_WITHIN_S
    progress: list[tuple[float, int]] = []
    while True:
        asked_at, cpu_s = time.monotonic(), meter.child.cpu_s()
        done = applied_records(meter.samples(), {number: first.get(number, 0) for number in ends})
        if not done:
            began_at, began_cpu_s = asked_at, cpu_s
        elif not progress:
            deadline = asked_at + within_s
        if done:
            progress.append((time.monotonic() - began_at, done))
        if done >= wanted:
            return Applied(began_at, time.monotonic(), meter.child.cpu_s() - began_cpu_s, progress)
        if time.monotonic() > deadline:
            raise TooSlow(f"only {done} of {wanted} records were applied within {within_s:.0f} s", done / wanted)
        time.sleep(_POLL_S)


def wait_published(scenario: Scenario, start: Mapping[str, Mapping[int, int]]) -> float:
    """When (monotonic) the newest totals and amounts on the topics, from `start`, equal what was sent."""
    result = MeterResult()
    with kafka_io.follower(scenario.broker.bootstrap, scenario.derived, start) as reader:

        def is_complete() -> bool:
            result.take(reader.drain())
            return not result.faults(scenario.expected, scenario.quota)

        try:
            wait_until(is_complete, _PUBLISHES_WITHIN_S, "the published totals equal what was sent")
        except BenchmarkFailed as late:
            faults = result.faults(scenario.expected, scenario.quota)
            raise BenchmarkFailed(f"{late}; {len(faults)} differ, first: {faults[0] if faults else 'none'}") from late
    return time.monotonic()


def derived_ends(scenario: Scenario) -> dict[str, dict[int, int]]:
    """Where the derived topics end now: what a later run publishes lies behind."""
    return {topic: kafka_io.end_offsets(scenario.broker.bootstrap, topic) for topic in scenario.derived}


def whole_run(
    meter: Meter,
    scenario: Scenario,
    start: Mapping[str, Mapping[int, int]],
    within_s: float,
) -> tuple[Run, Applied]:
    """Time a meter that has just been started without a snapshot, and verify what it publishes behind `start`.

    One that is too slow gives a run with that as its fault.
    """
    spawned_at = time.monotonic()
    try:
        applied = wait_applied(meter, {}, scenario.ends, within_s)
    except TooSlow as slow:
        return _unfinished(meter, scenario, within_s, slow), Applied(spawned_at, time.monotonic(), 0.0)
    faults: list[str] = []
    try:
        published_at = wait_published(scenario, start)
    except BenchmarkFailed as late:
        published_at, faults = time.monotonic(), [str(late)]
    cold = cold_meter_result(scenario.broker.bootstrap, scenario.derived, start)
    samples = meter.samples()
    run = Run(
        engine="fusion-billing",
        counters=scenario.load.counters,
        keys=scenario.expected.distinct,
        applied_s=applied.ended_at - applied.began_at,
        published_s=published_at - applied.began_at,
        cpu_s=meter.child.cpu_s(),
        applying_cpu_s=applied.cpu_s,
        peak_rss_mib=meter.child.rss_mib(peak=True),
        faults=faults + cold.faults(scenario.expected, scenario.quota),
        snapshots=int(samples.get("fusion_snapshot_duration_seconds_count", {}).get("", 0)),
        start_s=applied.began_at - spawned_at,
    )
    return run, applied


def _unfinished(meter: Meter, scenario: Scenario, within_s: float, slow: TooSlow) -> Run:
    return Run(
        engine="fusion-billing",
        counters=round(scenario.load.counters * slow.share),
        keys=scenario.expected.distinct,
        applied_s=within_s,
        published_s=within_s,
        cpu_s=meter.child.cpu_s(),
        peak_rss_mib=meter.child.rss_mib(peak=True),
        faults=[str(slow)],
        is_finished=False,
    )
