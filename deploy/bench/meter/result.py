"""The figures of one run, as one JSON object for programs and as tables for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from deploy.bench.meter.latency import Latency
    from deploy.bench.meter.measure import Run
    from deploy.bench.meter.plan import Plan
    from deploy.bench.meter.recovery import Recovery

OURS = "fusion-billing"
HEADLINE = (
    "counters_per_second",
    "ratio_vs_bytewax",
    "ratio_vs_kafka_streams",
    "single_counter_per_second",
    "single_ratio_vs_bytewax",
    "replay_per_second",
    "recovery_seconds",
    "latency_p99_seconds",
    "peak_rss_mib",
    "verified",
)
"""The figures that `--json` prints; the report has these and all others."""


@dataclass(slots=True)
class Result:
    """What was measured; what was not stays empty and is null in the JSON.

    `containers` and `singles` hold every engine's runs, in the order they were made; `faults` every difference
    between what the meter published and what was sent; `growth` maps live keys to counters per second there.
    """

    plan: Plan
    broker_is_tuned_down: bool
    containers: list[Run] = field(default_factory=list)
    singles: list[Run] = field(default_factory=list)
    replay: Run | None = None
    recovery: Recovery | None = None
    latency: Latency | None = None
    full: Run | None = None
    full_recovery: Recovery | None = None
    growth: dict[int, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_verified(self) -> bool:
        """True when the meter's sums, distinct keys and amounts were compared in every run and were all equal."""
        ours = [run for run in (*self.containers, *self.singles, self.replay, self.full) if run and run.engine == OURS]
        return bool(ours) and not self.faults and not any(run.faults for run in ours)

    def as_json(self) -> dict[str, Any]:
        """The figures by name; rates in counters per second, medians over the rounds."""
        best = self.full_recovery or self.recovery
        peaks = [run.peak_rss_mib for run in (*self.containers, self.full) if run and run.engine == OURS]
        return {
            "counters_per_second": _rate(self.containers, OURS),
            "ratio_vs_bytewax": _ratio(self.containers, "bytewax"),
            "ratio_vs_kafka_streams": _ratio(self.containers, "kafka_streams"),
            "single_counter_per_second": _rate(self.singles, OURS),
            "single_ratio_vs_bytewax": _ratio(self.singles, "bytewax"),
            "replay_per_second": self.replay and round(self.replay.per_second),
            "recovery_seconds": best and round(best.seconds, 2),
            "recovery_keys": best and best.keys,
            "latency_p99_seconds": self.latency and round(self.latency.p99_s, 3),
            "peak_rss_mib": round(max(peaks)) if peaks else None,
            "peak_rss_keys": self._peak_keys(),
            "verified": int(self.is_verified),
            "growth_ratio": self._growth_ratio(),
            "counters_per_cpu_second": self._per_cpu_second(),
            "ratio_vs_bytewax_grouped": _ratio(self.containers, "bytewax_grouped"),
            "counters_per_second_published": _rate(self.containers, OURS, published=True),
            "ratio_vs_bytewax_published": _ratio(self.containers, "bytewax", published=True),
            "ratio_vs_kafka_streams_published": _ratio(self.containers, "kafka_streams", published=True),
            "broker_is_tuned_down": self.broker_is_tuned_down,
            "notes": self.notes,
            "detail": {
                "plan": asdict(self.plan),
                "containers": [_run(run) for run in self.containers],
                "singles": [_run(run) for run in self.singles],
                "replay": self.replay and _run(self.replay),
                "recovery": self.recovery and asdict(self.recovery),
                "latency": self.latency and asdict(self.latency),
                "full": self.full and _run(self.full),
                "full_recovery": self.full_recovery and asdict(self.full_recovery),
                "growth": {str(keys): round(rate) for keys, rate in self.growth.items()},
                "faults": self.faults[:20],
            },
        }

    def _growth_ratio(self) -> float | None:
        """Rate at the end of the big store over its rate at a million keys."""
        return round(self.growth[max(self.growth)] / self.growth[min(self.growth)], 2) if len(self.growth) > 1 else None

    def _per_cpu_second(self) -> int | None:
        """Counters per second of the meter's own processor time: what remains of a rate when neighbours are busy."""
        rates = [run.counters / run.applying_cpu_s for run in _chosen(self.containers, OURS) if run.applying_cpu_s]
        return round(median(rates)) if rates else None

    def _peak_keys(self) -> int | None:
        """Live keys in the store when memory was highest: the big store's, if there was one."""
        if self.full:
            return self.full.keys
        return next((run.keys for run in self.containers if run.engine == OURS), None)

    def print(self, console: Console) -> None:
        """Tables for people."""
        runs = Table()
        for name in ("job", "engine", "counters/s", "published/s", "CPU s", "MiB", "result"):
            runs.add_column(name, no_wrap=True)
        jobs = (
            ("containers", self.containers),
            ("singles", self.singles),
            ("replay", [self.replay] if self.replay else []),
            ("full", [self.full] if self.full else []),
        )
        for job, made in jobs:
            for run in made:
                verdict = (
                    "[green]equal[/]" if not run.faults else "[red]WRONG[/]" if run.is_finished else "[red]LATE[/]"
                )
                rates = f"{run.per_second:,.0f}", f"{run.published_per_second:,.0f}"
                runs.add_row(job, run.engine, *rates, f"{run.cpu_s:.1f}", f"{run.peak_rss_mib:,.0f}", verdict)
        console.print(runs)
        figures = Table("figure", "value")
        shown = {name: value for name, value in self.as_json().items() if name not in ("detail", "notes")}
        for name, value in shown.items():
            figures.add_row(name, "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value))
        console.print(figures)
        for line in (*self.notes, *self.faults[:5]):
            console.print(line)


def _chosen(runs: Sequence[Run], engine: str) -> list[Run]:
    """The engine's runs; a rate that comes with wrong results is no rate."""
    return [run for run in runs if run.engine == engine and not run.faults]


def _median(runs: Sequence[Run], *, published: bool) -> float:
    return median(run.published_per_second if published else run.per_second for run in runs)


def _rate(runs: Sequence[Run], engine: str, *, published: bool = False) -> int | None:
    chosen = _chosen(runs, engine)
    return round(_median(chosen, published=published)) if chosen else None


def _ratio(runs: Sequence[Run], peer: str, *, published: bool = False) -> float | None:
    ours, theirs = _chosen(runs, OURS), _chosen(runs, peer)
    if not ours or not theirs:
        return None
    return round(_median(ours, published=published) / _median(theirs, published=published), 2)


def _run(run: Run) -> dict[str, Any]:
    rates = {
        "counters_per_second": round(run.per_second),
        "counters_per_second_published": round(run.published_per_second),
    }
    return rates | asdict(run) | {"faults": run.faults[:5]}
