"""A power cut right after a publication that no snapshot knows of, while the catalog changes: nothing bills twice."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.faults.meter_lab import MeterLab, Worker, running
from tests.faults.reference_model import SERVICE, catalog
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
JULY, JUNE_20 = "2026-07-01T00:00:00Z", "2026-06-20T00:00:00Z"
SUBSCRIPTIONS = ["s0", "s1", "s2"]


def quantities(lab: MeterLab) -> dict[str, str]:
    """All totals by key."""
    return {key: value["quantity"] for key, value in lab.latest("totals.v1").items()}


def amounts(lab: MeterLab) -> dict[str, str]:
    """All amounts by key."""
    return {key: value["amount"] for key, value in lab.latest("overage.v1").items()}


@pytest.mark.parametrize("with_old_snapshot", [False, True])
def test_changes_during_a_power_cut_leave_no_stale_key(lab: MeterLab, *, with_old_snapshot: bool) -> None:
    """Another anchor, another plan, a charge deleted: a cold reader finds what ceased to be at zero."""
    worker = lab.worker(meter_snapshot_s="3600")
    with running(worker):
        if with_old_snapshot:
            use(lab, "early", "600")
            wait_for(lambda: quantities(lab), {f"{SERVICE}/{name}/calls/{JULY}": "600" for name in SUBSCRIPTIONS})
            assert worker.stop() == 0
            worker.start()
        use(lab, "k", "1500" if not with_old_snapshot else "900")
        wait_until(
            lambda: amounts(lab) == {f"{SERVICE}/{name}/calls-fee/{JULY}": "10" for name in SUBSCRIPTIONS},
            90,
            "amounts of 10",
        )
        worker.kill()
        change(lab)
        if not with_old_snapshot:
            shutil.rmtree(worker.variables["FUSION_METER_DATA_DIR"], ignore_errors=True)
        restart(worker)
        expected_totals = {f"{SERVICE}/{name}/calls/{JULY}": "1500" for name in SUBSCRIPTIONS}
        expected_totals |= {f"{SERVICE}/s0/calls/{JULY}": "0", f"{SERVICE}/s0/calls/{JUNE_20}": "1500"}
        wait_for(lambda: quantities(lab), expected_totals)
        expected_amounts = {f"{SERVICE}/{name}/calls-fee/{JULY}": "0" for name in SUBSCRIPTIONS}
        expected_amounts |= {f"{SERVICE}/{name}/calls-new/{JULY}": "1500" for name in ("s2",)}
        expected_amounts[f"{SERVICE}/s0/calls-new/{JUNE_20}"] = "1500"
        wait_for(lambda: amounts(lab), expected_amounts)
        assert worker.stop() == 0


def wait_for(actual: Callable[[], dict[str, str]], expected: dict[str, str]) -> None:
    """Return when it is so; fail with the difference if it never is."""

    def is_so() -> bool:
        assert actual() == expected
        return True

    wait_until(is_so, 90, "what a cold reader finds")


def use(lab: MeterLab, key: str, quantity: str) -> None:
    """One counter of each subscription."""
    for name in SUBSCRIPTIONS:
        row = {"subscription": name, "metric": "calls", "quantity": quantity, "idempotency_key": key}
        lab.publish_counters(row | dict.fromkeys(("period_start", "period_end"), "2026-07-03T00:00:00Z"))


def change(lab: MeterLab) -> None:
    """The anchor of s0 moves, s1 goes to a plan that charges nothing, and another charge takes the place of ours."""
    records = catalog(SUBSCRIPTIONS)
    charge = records["charge/1"]
    lab.tell_catalog(
        {
            "subscription/1": records["subscription/1"] | {"anchor": "2026-06-20"},
            "subscription/2": records["subscription/2"] | {"plan_code": "free"},
            "charge/1": None,
            "charge/99": charge
            | {"id": 99, "code": "calls-new", "included_quota": "0", "unit_batch": "1", "price_per_unit": "1"},
        }
    )


def restart(worker: Worker) -> None:
    """Start it after a power cut, and see it at work."""
    worker.start()
    worker.wait_for_more("partition.opened")
