"""`usage.threshold_reached` on the real broker: told once, also by a meter that starts from nothing."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal

import pytest

from schemas.events import LifecycleEvent
from tests.faults.meter_lab import MeterLab, running
from tests.faults.reference_model import SERVICE, catalog
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
WITHIN_S = 90.0
TOTAL = f"{SERVICE}/s0/calls/2026-07-01T00:00:00Z"


@pytest.fixture
def lab(lab: MeterLab) -> MeterLab:
    """Its charge tells the app at 80 % of its quota of 500."""
    threshold = {"code": "most", "kind": "quota_percent", "value": "80"}
    lab.tell_catalog({"charge/1": catalog(["s0"])["charge/1"] | {"thresholds": [threshold]}})
    return lab


def use(lab: MeterLab, key: str, quantity: str) -> None:
    """One counter of s0, seen in its total."""
    row = {"subscription": "s0", "metric": "calls", "quantity": quantity, "idempotency_key": key}
    lab.publish_counters(row | dict.fromkeys(("period_start", "period_end"), "2026-07-03T00:00:00Z"))
    [expected] = [quantity for name, (quantity, _) in lab.model.totals().items() if name == TOTAL]

    def is_counted() -> bool:
        return Decimal(lab.latest("totals.v1").get(TOTAL, {}).get("quantity", -1)) == expected

    wait_until(is_counted, WITHIN_S, f"counter {key} in the total")


def test_a_threshold_is_told_once(lab: MeterLab) -> None:
    """A power cut without snapshots and a correction below it change nothing; the record says what an app needs."""
    worker = lab.worker(meter_snapshot_s="3600")
    with running(worker):
        use(lab, "a", "399")
        assert lab.read("events.v1") == []
        use(lab, "b", "1")
        wait_until(lambda: len(lab.read("events.v1")) == 1, WITHIN_S, "the event")
        worker.kill()
        shutil.rmtree(worker.variables["FUSION_METER_DATA_DIR"], ignore_errors=True)
        worker.start()
        use(lab, "a", "10")
        use(lab, "c", "5000")
        use(lab, "d", "1")
        assert worker.stop() == 0
    [record] = lab.read("events.v1")
    event = LifecycleEvent.model_validate_json(record.value)
    assert record.key.decode() == f"{SERVICE}/s0"
    assert dict(record.headers)["ce_id"].decode() == event.id
    assert (event.type, event.data["threshold"], event.data["quantity"]) == ("usage.threshold_reached", "most", "400")
    assert json.loads(record.value)["data"]["included_quota"] == "500"
