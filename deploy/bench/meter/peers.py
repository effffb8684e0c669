"""Other engines doing the same job on the same topic: dedupe by key, last value wins, sum, publish totals.

A peer is a folder below tests/benchmarks/peers with two programs: `prepare <installation>` fetches and builds once,
`run <installation> --option value …` does the job and writes its report. To add one, add a folder and name it here.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.bench.common.child import running
from deploy.bench.common.errors import BenchmarkFailed
from deploy.bench.meter.measure import Run
from deploy.bench.meter.plan import PARTITIONS
from deploy.bench.meter.verify import peer_faults
from deploy.local import kafka_client, programs
from deploy.local.settings import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.bench.meter.scenario import Scenario
    from deploy.local.progress import Progress

_FOLDER = REPOSITORY / "tests" / "benchmarks" / "peers"
_INSTALLATIONS = REPOSITORY / ".local" / "bench" / "peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """One engine in one form: the folder it is in and the options that choose the form."""

    name: str
    folder: str
    options: tuple[str, ...] = ()

    def prepare(self, progress: Progress) -> None:
        """Fetch and build it unless that was done.

        Raises: LocalStackError when it cannot be had here.
        """
        script = _FOLDER / self.folder / "prepare"
        if not script.exists():
            raise BenchmarkFailed(f"{script} is missing: peers are run from a checkout")
        with progress.step(f"{self.name}: install"):
            programs.run([str(script), str(self._installation)], env=self._environment(), cwd=script.parent)

    def run(self, scenario: Scenario, number: int, within_s: float) -> Run:
        """Do the scenario's whole log once and compare the result.

        Raises: BenchmarkFailed when it failed or was not done `within_s`.
        """
        totals = f"{scenario.prefix}{self.name}-{number}.totals"
        kafka_client.create_topics(scenario.broker.bootstrap, {totals: PARTITIONS}, {"cleanup.policy": "compact"})
        folder = scenario.folder / f"{self.name}-{number}"
        folder.mkdir(parents=True)
        report = folder / "report.json"
        options = {
            "bootstrap": scenario.broker.bootstrap,
            "topic": scenario.usage,
            "totals": totals,
            "application": f"{scenario.prefix}{self.name}-{number}",
            "state": str(folder / "state"),
            "counters": str(scenario.load.counters),
            "report": str(report),
        }
        argv = [str(_FOLDER / self.folder / "run"), str(self._installation)]
        argv += [word for name, value in options.items() for word in (f"--{name}", value)] + list(self.options)
        with running(self.name, argv, self._environment(), folder / "log", REPOSITORY) as child:
            cpu_s, peak_rss_mib = child.wait(within_s)
        times = json.loads(report.read_text())
        return Run(
            engine=self.name,
            counters=scenario.load.counters,
            keys=scenario.expected.distinct,
            applied_s=times["applied_at"] - times["began_at"],
            published_s=times["durable_at"] - times["began_at"],
            cpu_s=cpu_s,
            peak_rss_mib=peak_rss_mib,
            faults=peer_faults(scenario.broker.bootstrap, totals, scenario.expected),
        )

    @property
    def _installation(self) -> Path:
        return _INSTALLATIONS / self.folder

    def _environment(self) -> dict[str, str]:
        return programs.clean_environment() | {
            "PYTHON": sys.executable,
            "MAVEN_REPOSITORY": str(REPOSITORY / ".local" / "cache" / "m2"),
        }


PEERS = (
    Peer("bytewax", "bytewax"),
    # The same flow with its loops taken out of the engine by hand, to show how much of the ratio is the engine's.
    Peer("bytewax_grouped", "bytewax", ("--items", "groups")),
    Peer("kafka_streams", "kafka_streams"),
)
