"""From counters to an app's back end: the meter finds that a threshold is reached, and its webhook arrives, signed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook

from deploy.local import kafka_client
from schemas.events import DeliveryState
from schemas.topics import TOPICS
from tests.faults.meter_lab import PARTITIONS, MeterLab, open_lab
from tests.faults.meter_lab import running as running_meter
from tests.faults.reference_model import SERVICE, catalog
from tests.integration.sinks_harness import ENDPOINT_SECRET, SECRET_KEY, Pipeline, Receiver, endpoint, process
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kafka

TOTAL = f"{SERVICE}/s0/calls/2026-07-01T00:00:00Z"


@pytest.fixture
def lab(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[MeterLab]:
    """The meter's topics, and a charge that tells the app at 80 % of its quota of 500."""
    with open_lab(kafka_bootstrap, topic_prefix, tmp_path) as made:
        threshold = {"code": "most", "kind": "quota_percent", "value": "80"}
        made.tell_catalog({"charge/1": catalog(["s0"])["charge/1"] | {"thresholds": [threshold]}})
        yield made


def test_a_threshold_reaches_the_app_as_a_signed_webhook(
    kafka_bootstrap: str, topic_prefix: str, lab: MeterLab, receiver: Receiver
) -> None:
    """399 of 500 say nothing, the 400th is told, more is not; the webhook is what the meter wrote, once."""
    wanted = {topic_prefix + topic.name: topic.partitions or PARTITIONS for topic in TOPICS}
    made = kafka_client.topic_names(kafka_bootstrap)
    kafka_client.create_topics(kafka_bootstrap, {name: count for name, count in wanted.items() if name not in made})
    own = Pipeline(
        {
            "FUSION_KAFKA_BOOTSTRAP": kafka_bootstrap,
            "FUSION_TOPIC_PREFIX": topic_prefix,
            "FUSION_SECRET_KEY": SECRET_KEY,
            "FUSION_WEBHOOK_ALLOW_PRIVATE": "true",
        }
    )
    own.publish_endpoint(endpoint(1, f"{receiver.url}/hook").model_copy(update={"service": SERVICE}))
    meter = lab.worker()
    with running_meter(meter), process("webhook-sink", own.variables):
        meter.wait_for("partition.opened", lab.partitions)
        for key, quantity in (("a", "399"), ("b", "1"), ("c", "5")):
            use(lab, key, quantity)
        (request,) = receiver.wait_for("/hook", 1, deadline_s=90)
        wait_until(lambda: own.deliveries()[request.event_id].state is DeliveryState.DELIVERED, 60, "written down")
    assert len(receiver.requests) == 1
    told = Webhook(ENDPOINT_SECRET).verify(request.body, request.headers)
    assert (told["type"], told["service"], told["subscription"]) == ("usage.threshold_reached", SERVICE, "s0")
    assert told["data"]["threshold"] == "most"
    assert {key: told["data"][key] for key in ("quantity", "included_quota")} == {
        "quantity": "400",
        "included_quota": "500",
    }
    [record] = lab.read("events.v1")
    assert json.loads(record.value)["id"] == told["id"]


def use(lab: MeterLab, key: str, quantity: str) -> None:
    """One counter of s0, seen in its total."""
    row = {"subscription": "s0", "metric": "calls", "quantity": quantity, "idempotency_key": key}
    lab.publish_counters(row | dict.fromkeys(("period_start", "period_end"), "2026-07-03T00:00:00Z"))
    [expected] = [quantity for name, (quantity, _) in lab.model.totals().items() if name == TOTAL]

    def is_counted() -> bool:
        return Decimal(lab.latest("totals.v1").get(TOTAL, {}).get("quantity", -1)) == expected

    wait_until(is_counted, 90, f"counter {key} in the total")
