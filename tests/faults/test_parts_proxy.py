"""Gateway, meter and Odoo sink with a faulty network between them and their neighbours (F26)."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.local.ports import HOST
from tests.faults.meter_lab import open_lab, running
from tests.faults.reference_model import SERVICE
from tests.hostile.proxy import Mode, Proxy, proxy_to
from tests.integration.odoo_harness import make_books
from tests.integration.sinks_harness import Pipeline, process, stop_politely
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.meter_lab import MeterLab
    from tests.stack.kafka import Broker
    from tests.stack.odoo import OdooServer

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

KEY = "fus_test_proxied"
TOTAL = f"{SERVICE}/s0/calls/2026-07-01T00:00:00Z"
FAULTS = [mode for mode in Mode if mode is not Mode.PASS]
FAULT_S, BLACK_HOLE_S = 1.5, 300.0
WELL_WITHIN_S = 120.0


@pytest.fixture
def lab(proxied: tuple[Broker, Proxy], tmp_path: Path) -> Iterator[MeterLab]:
    """Topics and catalog on the broker behind the proxy, reached directly; the service has a key."""
    with open_lab(proxied[0].bootstrap, "k.", tmp_path) as made:
        hashed = hashlib.sha256(KEY.encode()).hexdigest()
        service = {"kind": "service", "id": 1, "code": SERVICE, "name": "Maps", "api_key_hashes": [hashed]}
        made.tell_catalog({"service/1": service})
        yield made


def suffer(proxy: Proxy, mode: Mode, *, is_long: bool) -> None:
    """Let a fault last, and be met, before it ends; in the long set a black hole lasts five minutes."""
    before = proxy.met[mode]
    threading.Event().wait(BLACK_HOLE_S if is_long and mode is Mode.BLACK_HOLE else FAULT_S)  # the fault itself
    wait_until(lambda: proxy.met[mode] > before, 60, f"{mode.value} is met")


@pytest.mark.timeout(2 * BLACK_HOLE_S + 600)
def test_counters_count_once_whatever_the_network_to_kafka_does(
    lab: MeterLab, proxied: tuple[Broker, Proxy], free_port: int, is_long: bool
) -> None:
    """F26, gateway and meter behind one proxy: a client that retries until its 202 is counted once under each fault."""
    _, to_kafka = proxied
    bootstrap = f"{HOST}:{to_kafka.port}"
    variables = {
        "FUSION_KAFKA_BOOTSTRAP": bootstrap,
        "FUSION_TOPIC_PREFIX": lab.prefix,
        "FUSION_TOPIC_PARTITIONS": str(lab.partitions),
        "FUSION_GATEWAY_PORT": str(free_port),
        "FUSION_GATEWAY_ACK_TIMEOUT_S": "2",
    }

    def use(*keys: str) -> None:
        """Publish until it is accepted, as a good client does."""
        events = [_counter(key) for key in keys]

        def is_accepted() -> bool:
            url = f"http://{HOST}:{free_port}/api/billing/v1/usage"
            head = {"Authorization": f"Bearer {KEY}"}
            try:
                answer = httpx.post(url, json={"events": events}, headers=head, timeout=30)
            except httpx.TransportError:
                return False
            return answer.status_code == httpx.codes.ACCEPTED

        wait_until(is_accepted, BLACK_HOLE_S + WELL_WITHIN_S, f"{keys} accepted")

    def has_counted(expected: int) -> bool:
        found = lab.latest("totals.v1").get(TOTAL, {})
        assert (found.get("quantity"), found.get("counters")) == (str(expected), expected), found
        return True

    meter = lab.worker(kafka_bootstrap=bootstrap)
    with process("gateway", variables), running(meter), ThreadPoolExecutor(1) as client:
        meter.wait_for("partition.opened", lab.partitions)
        use("first")
        for number, mode in enumerate(FAULTS, 2):
            to_kafka.switch(mode)
            asked = client.submit(use, "first", mode.value)
            suffer(to_kafka, mode, is_long=is_long)
            to_kafka.switch(Mode.PASS)
            asked.result(BLACK_HOLE_S + WELL_WITHIN_S)
            wait_until(lambda: has_counted(number), WELL_WITHIN_S, f"counted after {mode.value}")  # noqa: B023


def _counter(key: str) -> dict[str, str]:
    hour = {"period_start": "2026-07-03T00:00:00Z", "period_end": "2026-07-03T01:00:00Z"}
    counter = {"subscription_external_id": "s0", "metric_code": "calls", **hour}
    return {**counter, "quantity": "1", "idempotency_key": key}


@pytest.mark.odoo
@pytest.mark.timeout(2 * BLACK_HOLE_S + 600)
def test_each_line_is_there_once_whatever_the_network_to_odoo_does(
    sink_topics: Pipeline, odoo: OdooServer, is_long: bool
) -> None:
    """F26, the sink behind a proxy to Odoo: under each fault a new amount comes in; well again, each line is right."""
    books, subscriptions = make_books(odoo, 2), ("sub-0", "sub-1")
    direct = odoo.variables()
    with proxy_to(urlsplit(direct["FUSION_ODOO_URL"]).port or 80) as to_odoo:
        url = f"http://{HOST}:{to_odoo.port}"
        own = Pipeline(sink_topics.variables | direct | {"FUSION_ODOO_URL": url, "FUSION_ODOO_TIMEOUT_S": "20"})
        with process("odoo-sink", own.variables) as child:
            for number, mode in enumerate([Mode.PASS, *FAULTS], 1):
                to_odoo.switch(mode)
                own.publish_overage(*(books.record(name, str(10 * number), number) for name in subscriptions))
                if mode is not Mode.PASS:
                    suffer(to_odoo, mode, is_long=is_long)
                    to_odoo.switch(Mode.PASS)
                for name in subscriptions:
                    books.wait_for_line(name, 10.0 * number, WELL_WITHIN_S)
            assert stop_politely(child) == 0
