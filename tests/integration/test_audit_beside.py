"""The continuous audit of a running meter: silent on health, loud on a store that differs from its log."""

from __future__ import annotations

import re

import httpx
import pytest

from streams.domain.catalog import CatalogView
from streams.store import snapshots
from tests.faults.meter_lab import MeterLab, Worker, running, under_load
from tests.integration.test_audit import counter
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.kafka
WITHIN_S = 100.0
OFTEN = {"meter_audit_s": "0.2", "meter_audit_share": "1"}


def drift(port: int) -> dict[str, float]:
    """The drift metric by partition."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    except httpx.TransportError:
        return {}  # it is still starting
    return {
        partition: float(value) for partition, value in re.findall(r'fusion_audit_drift{partition="(\d)"} (\S+)', text)
    }


def test_partitions_are_audited_under_load(lab: MeterLab, free_port: int) -> None:
    """While counters of all kinds pour in, no round finds anything, and the totals stay exact."""
    worker = lab.worker(ops_port=str(free_port), **OFTEN)
    with running(worker):
        with under_load(lab):
            wait_until(lambda: len(drift(free_port)) > 1, WITHIN_S, "audits of two partitions")
            assert set(drift(free_port).values()) == {0.0}
        lab.wait_until_exact()
        assert worker.stop() == 0
    assert (worker.count("audit.drift"), worker.count("audit.failed")) == (0, 0), worker.tail()


def test_a_store_that_differs_from_its_log_is_reported(lab: MeterLab, free_port: int) -> None:
    """A sum that was tampered with in a snapshot is named, counted in the metric, and not changed."""
    worker = lab.worker()
    with running(worker):
        home, _ = lab.publish_counters(counter("a", "1500"))
        lab.wait_until_exact()
        assert worker.stop() == 0
    _tamper(worker, home)
    auditing = lab.worker(ops_port=str(free_port), **OFTEN)
    with running(auditing):
        auditing.wait_for("audit.drift")
        wait_until(lambda: drift(free_port).get(str(home)) == 1.0, WITHIN_S, "the metric")
    assert (
        '"key": "maps/s0/calls/2026-07-01T00:00:00Z", "expected": "1500 of 1", "found": "1501 of 1"' in auditing.tail()
    )


def _tamper(worker: Worker, partition: int) -> None:
    """Add one call to the only aggregate of a partition's newest snapshot."""
    path = [each for each in worker.snapshots() if f"partition-{partition}/" in str(each)][-1]
    store, context = snapshots.read(path, 1, CatalogView())
    store.aggregates.arrays["sum_low"][0] += 1_000_000
    snapshots.write(snapshots.take(store, context), path.parent)
