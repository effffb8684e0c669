"""Hostile input: nothing crashes, no partition stalls, and every counter ends counted or refused, once."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from deploy.bench.common.scrape import scrape
from streams.metrics import COUNTERS_APPLIED
from tests.faults.hostile import attacks, counters_in, damaged
from tests.faults.workers import running
from tests.unit.streams.desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.meter_lab import MeterLab
    from tests.faults.workers import Worker
    from tests.stack.fault_table import FaultTable, Row

SHORT_S, LONG_S = 8.0, 600.0
_ROUND = 200
"""Examples per round; each round has a worker of its own, or its store would grow with the time that is given."""


@pytest.mark.timeout(900)
def test_fuzz_of_the_worker(tmp_path: Path, is_long: bool, fault_table: FaultTable) -> None:
    """Runs of damaged batches go through decoder, store and publication; counted and refused make up all."""
    row, until, number = fault_table.row("fuzz, runs of records in process"), time.monotonic(), random.randrange(2**32)
    until += LONG_S if is_long else SHORT_S
    with asyncio.Runner() as runner:
        while time.monotonic() < until:
            number += 1
            desk = Desk(tmp_path / str(number))
            runner.run(desk.worker.open())

            @seed(number)
            @settings(max_examples=_ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(st.lists(st.randoms(use_true_random=False).map(damaged), min_size=1, max_size=8))
            def examine(values: list[bytes]) -> None:
                if time.monotonic() < until:
                    runner.run(_examine(desk, values))  # noqa: B023 -- called in this round only
                    row.times += len(values)

            examine()


async def _examine(desk: Desk, values: list[bytes]) -> None:
    before = _counted()
    await desk.worker.apply(*[desk.log.append(value) for value in values])
    await desk.worker.flush()
    desk.take("totals"), desk.take("overage")
    rejected = {value["offset"]: value for value in desk.take("rejected")}
    first = desk.log.end - len(values)
    assert desk.worker.next_offset == desk.log.end
    due = sum(_due(value, rejected.get(first + at)) for at, value in enumerate(values))
    assert _counted() - before == due


def _due(value: bytes, rejected: dict[str, Any] | None) -> int:
    """How many counters of a record must have counted, given what was refused of it."""
    indexes = [each["index"] for each in rejected["refusals"]] if rejected else []
    if indexes == [None]:
        return 0
    size = counters_in(value)
    assert size is not None, "counted, but no batch"
    assert len(indexes) == len(set(indexes)), "refused twice"
    assert set(indexes) <= set(range(size)), "refused, but not there"
    return size - len(indexes)


def _counted() -> int:
    """How many counters this process has applied, whatever they did to their keys."""
    samples = next(iter(COUNTERS_APPLIED.collect())).samples
    return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))


@pytest.mark.kafka
@pytest.mark.faults
def test_hostile_records_through_the_broker(lab: MeterLab, is_long: bool, fault_table: FaultTable) -> None:
    """Attacks all at once, then damaged batches, with and without keys: no partition stops, every counter is found."""
    worker, chance = lab.worker(), random.Random(lab.seed)
    with running(worker):
        worker.wait_for("partition.opened", lab.partitions)
        named = attacks()
        places = {
            name: lab.publish(value, partition=number % lab.partitions)
            for number, (name, (value, _)) in enumerate(named.items())
        }
        lab.wait_until_quiet()
        refused = lab.rejected()
        for name, (value, (good, bad)) in named.items():
            [refusals] = refused.get(places[name], [[]])
            found = None if refusals and refusals[0][0] is None else len(refusals)
            assert found == bad, f"{name}: {refusals[:3]}"
            assert bad is None or good + bad == counters_in(value), name
        fault_table.row("hostile records by name, through the broker").times += len(named)
        published = {places[name]: value for name, (value, _) in named.items()}
        row = fault_table.row("fuzz, through the broker")
        for _ in range(20 if is_long else 1):
            for _ in range(300):
                value = damaged(chance)
                key = chance.choice([None, "", "\x00", "maps/s0", "é"])
                published[lab.publish(value, key, chance.randrange(lab.partitions))] = value
                row.times += 1
            lab.wait_until_quiet()
        _account(lab, worker, published, row)


def _account(lab: MeterLab, worker: Worker, published: dict[tuple[int, int], bytes], row: Row) -> None:
    """What went in is what counted and what was refused, where marks of quiet count as well."""
    found = lab.rejected()
    assert all(len(records) == 1 for records in found.values()), "a record was refused twice"
    due = 0
    for place, value in published.items():
        [refusals] = found.get(place, [[]])
        due += _due(value, {"refusals": [{"index": index} for index, _ in refusals]})
    marks = lab.quiet.marks_sent
    counted = int(sum(scrape(worker.ops_port)["fusion_counters_applied_total"].values()))
    row.lost, row.doubled = max(0, due + marks - counted), max(0, counted - due - marks)
    assert counted == due + marks
