"""The parts of `bench odoo`, in their order; each figure comes with what was found wrong beside it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

from deploy.bench.odoo import customers, feed, verify
from deploy.bench.odoo.books import make_books
from deploy.bench.odoo.lines import LineBench, Passage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.bench.odoo.scenario import Scenario
    from deploy.local.progress import Progress

_WARM_UP = 20
_LAST_CENTS = 900


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it."""

    lines: int = 3_000
    unchanged_rounds: int = 20
    customers: int = 300
    events: int = 100

    @classmethod
    def quick(cls) -> Plan:
        """Shows that it works."""
        return cls(lines=60, unchanged_rounds=2, customers=12, events=10)


@dataclass(slots=True)
class Found:
    """The figures; `faults` names every difference between what was sent and what Odoo or Kafka holds."""

    figures: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, passage: Passage, status: str | None) -> None:
        """Take in one kind of row; any other outcome than `status` (null: no word of it) is a fault.

        Where there are answers, only they count: what the sink coalesced was no work.
        """
        rows = passage.answers if status else passage.rows
        self.figures[f"{name}_per_second"] = round(rows / passage.took_s, 1)
        self.detail[name] = {"rows": passage.rows, "statuses": passage.statuses, "cpu_s": passage.cpu_s}
        if passage.statuses.keys() != {status} - {None}:
            self.faults.append(f"{name}: lines.v1 was told {passage.statuses}")


def measure(plan: Plan, scenario: Scenario, progress: Progress) -> Found:
    """Do all of it."""
    with progress.step(f"odoo: {plan.lines} subscriptions"):
        books = make_books(scenario.odoo.admin, plan.lines + plan.events + _WARM_UP)
    found = Found()
    billed, spare, first = _cut(books.subscriptions, plan.lines, plan.events, _WARM_UP)
    with scenario.role("odoo-sink") as sink, progress.step("odoo: lines"):
        bench = LineBench(scenario, books, sink)
        bench.warm_up(first)
        _measure_lines(bench, billed, found)
    # Another process: it does not know what Odoo has acknowledged.
    with scenario.role("odoo-sink") as sink:
        bench.sink = sink
        with progress.step("odoo: unchanged rows"):
            bench.warm_up(first)
            _measure_unchanged(plan, bench, billed, found)
        with progress.step("odoo: lag of the feed, while lines are written"), _lines_meanwhile(bench, billed):
            lags_s, faults = feed.lags_s(scenario, spare)
        found.figures["feed_lag_p99_seconds"] = round(_p99(lags_s), 3)
        found.detail["feed"] = {"events": len(lags_s), "lag_max_s": round(max(lags_s), 3)}
        found.faults += faults
    with progress.step("odoo: customers"):
        rate, faults = customers.customers_per_s(scenario, books, plan.customers)
    found.figures["customer_upserts_per_second"] = round(rate, 1)
    found.faults += faults
    found.faults += verify.faults_of(verify.lines_held(scenario.odoo.admin), bench.sent)
    found.faults += verify.version_faults(verify.versions_held(scenario.odoo.admin), bench.sent)
    return found


def _cut(names: Sequence[str], *sizes: int) -> Iterator[Sequence[str]]:
    start = 0
    for size in sizes:
        yield names[start : start + size]
        start += size


def _measure_lines(bench: LineBench, names: Sequence[str], found: Found) -> None:
    found.note("created_lines", bench.pass_through(names, cents=500), "created")
    found.note("updated_lines", bench.pass_through(names, cents=_LAST_CENTS), "updated")


def _measure_unchanged(plan: Plan, bench: LineBench, names: Sequence[str], found: Found) -> None:
    found.note("unchanged_unknown_rows", bench.pass_through(names, _LAST_CENTS), "unchanged")
    found.note("unchanged_newer_rows", bench.pass_through(names, _LAST_CENTS, plan.unchanged_rounds), "unchanged")
    found.note("unchanged_rows", bench.pass_again(names, plan.unchanged_rounds), None)


@contextmanager
def _lines_meanwhile(bench: LineBench, names: Sequence[str]) -> Iterator[None]:
    """Change lines over and over until the block ends; a failure is the block's."""
    over, failures = threading.Event(), []

    def work() -> None:
        cents = 1_000
        try:
            while not over.is_set():
                bench.pass_through(names, cents)
                cents += 100
        except BaseException as error:  # noqa: BLE001 -- raised again below, in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=work, name="lines-meanwhile")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[ceil(len(values) * 0.99) - 1]
