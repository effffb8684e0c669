"""The story of one benchmark run: loads, rounds of all engines in turn, replay, recovery, latency, the big store."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deploy.bench.meter.latency import measure_latency
from deploy.bench.meter.load import Load, subscriptions_by_partition
from deploy.bench.meter.measure import Run, derived_ends, whole_run
from deploy.bench.meter.peers import PEERS
from deploy.bench.meter.plan import PARTITIONS, SEED
from deploy.bench.meter.process import meter
from deploy.bench.meter.recovery import recovered
from deploy.bench.meter.result import OURS, Result
from deploy.bench.meter.scenario import Scenario, quota_for
from deploy.bench.meter.verify import cold_meter_result
from deploy.local.errors import LocalStackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deploy.bench.common.broker import BenchBroker
    from deploy.bench.meter.measure import Applied
    from deploy.bench.meter.peers import Peer
    from deploy.bench.meter.plan import Plan
    from deploy.local.progress import Progress

# Short against the 2 to 4 s a run takes, so that snapshots are written while counters come in.
_WITH_SNAPSHOTS = {"FUSION_METER_SNAPSHOT_S": "1.5"}
# Replay, recovery and latency still have to follow.
_KEPT_FOR_THE_REST_S = 120.0
_FULL_WITHIN_S = 600.0
_ENGINE_WITHIN_S = 90.0
_ENGINE_AT_LEAST_S = 10.0


@dataclass(slots=True)
class Bench:
    """One run of `fusion-billing bench meter`; `run` measures everything that the plan asks for."""

    plan: Plan
    broker: BenchBroker
    folder: Path
    progress: Progress
    result: Result = field(init=False)
    _began_at: float = field(default_factory=time.monotonic)
    _peers: list[Peer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.result = Result(self.plan, self.broker.is_tuned_down)

    def run(self) -> Result:
        """Measure; what cannot be measured here leaves a note and no figure."""
        if self.plan.with_peers:
            self._prepare_peers()
        containers = self._scenario("containers", self.plan.counters)
        with self.progress.step("publish the containers"):
            containers.create(containers.load.records(containers.expected))
        singles = self._singles() if "singles" in self.plan.parts else None
        self._try("rounds", lambda: self._rounds(containers, singles))
        if "replay" in self.plan.parts:
            self._try("replay", lambda: self._replay(containers))
        if "recovery" in self.plan.parts:
            self._try("recovery and latency", lambda: self._recovery_and_latency(containers))
        if self.plan.full_keys:
            self._try("full", self._full)
        return self.result

    def _try(self, name: str, measure: Callable[[], None]) -> None:
        """What went wrong is part of the result, which then is not verified; the rest is measured all the same."""
        try:
            measure()
        except LocalStackError as error:
            self.progress.say(f"{name}: {error}")
            self.result.faults.append(f"{name}: {error}")

    # --- rounds ---------------------------------------------------------------------------------------------------

    def _rounds(self, containers: Scenario, singles: Scenario | None) -> None:
        longest_s = 0.0
        for number in range(self.plan.rounds):
            if number and longest_s > self._left_s():
                self.result.notes.append(f"{number} rounds only: no time for another of {longest_s:.0f} s")
                return
            began_at = time.monotonic()
            self._round(containers, self.result.containers, number)
            if singles is not None:
                self._round(singles, self.result.singles, number)
            longest_s = max(longest_s, time.monotonic() - began_at)

    def _left_s(self) -> float:
        return self.plan.ends_within_s - (time.monotonic() - self._began_at) - _KEPT_FOR_THE_REST_S

    def _limit_s(self) -> float:
        """How long one engine may take: nobody's slowness makes the whole run late."""
        return min(_ENGINE_WITHIN_S, max(_ENGINE_AT_LEAST_S, self._left_s()))

    def _round(self, scenario: Scenario, runs: list[Run], number: int) -> None:
        """Every engine once, each time another one first."""
        engines: list[tuple[str, Callable[[], Run]]] = [(OURS, lambda: self._meter_run(scenario, number))]
        engines += [(peer.name, lambda peer=peer: peer.run(scenario, number, self._limit_s())) for peer in self._peers]  # type: ignore[misc]
        shift = number % len(engines)
        for name, measure in engines[shift:] + engines[:shift]:
            with self.progress.step(f"round {number + 1}: {scenario.name}, {name}"):
                try:
                    run = measure()
                except LocalStackError as error:
                    if name == OURS:
                        raise
                    self.result.notes.append(f"{name} failed: {error}")
                    self._peers = [peer for peer in self._peers if peer.name != name]
                    continue
            runs.append(run)
            self._say(scenario, run)

    def _meter_run(self, scenario: Scenario, number: int) -> Run:
        """From the oldest offset without a snapshot; the last round's snapshot stays for what follows."""
        scenario.folder = scenario.folder.parent / f"round-{number}"
        start = derived_ends(scenario)
        with meter(self.broker, scenario.prefix, scenario.folder, _WITH_SNAPSHOTS) as ours:
            run, _ = whole_run(ours, scenario, start, self._limit_s())
            self._stop(ours.child.stop())
        return run

    def _prepare_peers(self) -> None:
        for peer in PEERS:
            try:
                peer.prepare(self.progress)
            except LocalStackError as error:
                self.result.notes.append(f"without {peer.name}: {error}")
            else:
                self._peers.append(peer)

    # --- crashes and waiting --------------------------------------------------------------------------------------

    def _replay(self, scenario: Scenario) -> None:
        """All snapshots are gone: the log is read again from its beginning."""
        shutil.rmtree(scenario.folder / "snapshots", ignore_errors=True)
        start = derived_ends(scenario)
        with (
            self.progress.step("replay without snapshots"),
            meter(self.broker, scenario.prefix, scenario.folder, {}) as ours,
        ):
            self.result.replay, _ = whole_run(ours, scenario, start, _ENGINE_WITHIN_S)
            self._stop(ours.child.stop())
        self._say(scenario, self.result.replay)

    def _recovery_and_latency(self, scenario: Scenario) -> None:
        load = self._load("latency-", int(self.plan.latency_rate * self.plan.latency_lasts_s), replaced_share=0)
        # The interval starts anew with the process; several snapshots fall into the time that latency is measured.
        variables = {"FUSION_METER_SNAPSHOT_S": str(self.plan.latency_lasts_s / 5)}
        with self.progress.step("recovery after kill -9, then latency at a steady rate"):
            with recovered(scenario, variables) as (ours, recovery):
                self.result.recovery = recovery
                self.progress.say(f"back at work {recovery.seconds:.1f} s after kill -9 with {recovery.keys:,} keys")
                self.result.latency = measure_latency(ours, scenario, load, self.plan.latency_rate)
                self._stop(ours.child.stop())
            self._compare(scenario)
        p99_s, snapshots = self.result.latency.p99_s, self.result.latency.snapshots
        self.progress.say(f"latency p99 {p99_s:.2f} s, {snapshots} snapshots meanwhile")

    def _full(self) -> None:
        """A store of many keys: memory, growth and recovery."""
        scenario = self._scenario("full", self.plan.full_keys, replaced_share=0)
        with self.progress.step(f"full: publish {self.plan.full_keys:,} keys"):
            scenario.create(scenario.load.records(scenario.expected))
        with self.progress.step("full: apply"), meter(self.broker, scenario.prefix, scenario.folder, {}) as ours:
            self.result.full, applied = whole_run(ours, scenario, {}, _FULL_WITHIN_S)
            self.result.growth = growth(applied, self.plan)
            self._stop(ours.child.stop())
        self._say(scenario, self.result.full)
        with self.progress.step("full: recovery"), recovered(scenario, {}) as (_, recovery):
            self.result.full_recovery = recovery
        self._compare(scenario)

    # --- small things ---------------------------------------------------------------------------------------------

    def _compare(self, scenario: Scenario) -> None:
        """What somebody who reads the topics from the beginning finds, after all that happened."""
        cold = cold_meter_result(self.broker.bootstrap, scenario.derived, {})
        self.result.faults += cold.faults(scenario.expected, scenario.quota)

    def _singles(self) -> Scenario:
        scenario = self._scenario("singles", self.plan.single_counters)
        with self.progress.step("publish the single counters"):
            scenario.create(scenario.load.singles(scenario.expected))
        return scenario

    def _scenario(self, name: str, counters: int, replaced_share: float | None = None) -> Scenario:
        load = self._load(f"{name}-", counters, replaced_share)
        return Scenario(self.broker, name, self.folder / name / "first", load, quota_for(load))

    def _load(self, label: str, counters: int, replaced_share: float | None = None) -> Load:
        return Load(
            label=label,
            counters=counters,
            per_record=self.plan.counters_per_record,
            replaced_share=self.plan.replaced_share if replaced_share is None else replaced_share,
            subscriptions=subscriptions_by_partition(PARTITIONS, self.plan.subscriptions_per_partition),
            seed=SEED,
        )

    def _stop(self, code: int) -> None:
        if code != 0:
            self.result.notes.append(f"the meter ended with {code} after SIGTERM")

    def _say(self, scenario: Scenario, run: Run) -> None:
        verdict = "result equal" if not run.faults else f"{'WRONG' if run.is_finished else 'LATE'}: {run.faults[0]}"
        self.progress.say(f"{scenario.name}, {run.engine}: {run.per_second:,.0f} counters/s, {verdict}")


def growth(applied: Applied, plan: Plan) -> dict[int, float]:
    """Counters per second while the store held about a million keys, and at its end."""
    points = [(0.0, 0), *((at_s, done * plan.counters_per_record) for at_s, done in applied.progress)]
    window = max(plan.full_keys // 20, 1)
    rates = {}
    for keys in (1_000_000, plan.full_keys - window):
        inside = [(at_s, done) for at_s, done in points if abs(done - keys) <= window]
        if len(inside) > 1 and inside[-1][0] > inside[0][0]:
            rates[keys] = (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])
    return rates
