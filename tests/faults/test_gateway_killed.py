"""The gateway's process, killed when Kafka has a record of it and its client has no answer (F1)."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from deploy.local.ports import HOST
from schemas.wire import decode_batch
from tests.faults.meter_lab import open_lab, running
from tests.faults.reference_model import SERVICE
from tests.hostile.proxy import Mode, Proxy
from tests.integration.sinks_harness import process
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.meter_lab import MeterLab
    from tests.stack.kafka import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

KEY = "fus_test_killed"
QUANTITIES = {"a": "600", "b": "7.5"}


@pytest.fixture
def lab(proxied: tuple[Broker, Proxy], tmp_path: Path) -> Iterator[MeterLab]:
    """Topics and catalog on the broker behind the proxy, reached directly; the service has a key."""
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    service = {"kind": "service", "id": 1, "code": SERVICE, "name": "Maps", "api_key_hashes": [hashed]}
    with open_lab(proxied[0].bootstrap, "k.", tmp_path) as lab:
        lab.tell_catalog({"service/1": service})
        yield lab


def keys_on_the_log(lab: MeterLab) -> list[str]:
    """Idempotency keys of the usage log, each as often as it is there."""
    found: list[str] = []
    for record in lab.read("usage.v1"):
        columns, refused = decode_batch(record.value)
        assert not refused
        found += columns.keys
    return sorted(found)


def test_counters_that_a_killed_gateway_left_unanswered_count_once(
    lab: MeterLab, proxied: tuple[Broker, Proxy], free_port: int
) -> None:
    """F1: Kafka has the counters, its acknowledgement never comes, kill -9; the client's retry is no second usage."""
    _, to_kafka = proxied
    variables = {
        "FUSION_KAFKA_BOOTSTRAP": f"{HOST}:{to_kafka.port}",
        "FUSION_TOPIC_PREFIX": lab.prefix,
        "FUSION_TOPIC_PARTITIONS": str(lab.partitions),
        "FUSION_GATEWAY_PORT": str(free_port),
        "FUSION_GATEWAY_ACK_TIMEOUT_S": "60",  # so that only the kill can end the wait
    }

    def use(quantities: dict[str, str]) -> httpx.Response:
        return httpx.post(
            f"http://{HOST}:{free_port}/api/billing/v1/usage",
            json={"events": [_counter(key, quantity) for key, quantity in quantities.items()]},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=90,
        )

    def is_accepted(quantities: dict[str, str]) -> bool:
        try:
            return use(quantities).status_code == httpx.codes.ACCEPTED
        except httpx.TransportError:
            return False

    with process("gateway", variables) as first, ThreadPoolExecutor(1) as client:
        wait_until(lambda: is_accepted({"before": "1"}), 60, "the gateway works")
        to_kafka.switch(Mode.ONLY_REQUESTS)
        unanswered = client.submit(use, QUANTITIES)
        wait_until(lambda: keys_on_the_log(lab)[:2] == ["a", "b"], 60, "the counters are on the log")
        assert not unanswered.done()
        first.kill()
        with pytest.raises(httpx.TransportError):
            unanswered.result(30)
    to_kafka.switch(Mode.PASS)
    with process("gateway", variables):
        wait_until(lambda: is_accepted(QUANTITIES), 60, "the retry is accepted")
        assert is_accepted({"behind": "2"})
    written = keys_on_the_log(lab)
    assert min(written.count(key) for key in QUANTITIES) > 1
    with running(lab.worker()):
        # `behind` lies after both copies on the same partition, so a total that holds it has met both.
        wait_until(lambda: _total(lab).get("counters", 0) >= len({"before", *QUANTITIES, "behind"}), 60, "all counted")
        assert (_total(lab)["quantity"], _total(lab)["counters"]) == ("610.5", 4)


def _counter(key: str, quantity: str) -> dict[str, Any]:
    hour = {"period_start": "2026-07-03T00:00:00Z", "period_end": "2026-07-03T01:00:00Z"}
    counter = {"subscription_external_id": "s0", "metric_code": "calls", **hour}
    return {**counter, "quantity": quantity, "idempotency_key": key}


def _total(lab: MeterLab) -> dict[str, Any]:
    return lab.latest("totals.v1").get(f"{SERVICE}/s0/calls/2026-07-01T00:00:00Z", {})
