"""The gateway on a real broker: durable when it says so, honest when it cannot be, back by itself."""

import gc
import hashlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest

from producers import topics
from producers.gateway import Gateway
from producers.kafka_client import KafkaRecordProducer, Record
from producers.testing import FakeOdooTransport
from schemas.catalog import Service
from schemas.settings import Settings, load
from schemas.topics import CATALOG, USAGE
from schemas.wire import decode_batch
from tests.stack.kafka import Broker
from tests.stack.reading import read_cold
from tests.stack.waiting import wait_until, wait_until_async

KEY = "fus_test_integration"
ACK_TIMEOUT_S = 1.5

# kafka-python leaves the socket of a refused connection to the garbage collector.
pytestmark = [pytest.mark.kafka, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]


@pytest.fixture(autouse=True)
def _collect_refused_sockets(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Collect them here, where their warning is expected, and not in some other test."""
    caplog.set_level(logging.CRITICAL, logger="kafka")  # kept log records would keep them alive, by their tracebacks
    yield
    gc.collect()


def _prepared(bootstrap: str, prefix: str, **overrides: Any) -> Settings:
    """Return settings of a cluster that has the topics and one service."""
    settings = load(
        {}, kafka_bootstrap=bootstrap, topic_prefix=prefix, gateway_ack_timeout_s=ACK_TIMEOUT_S, **overrides
    )
    topics.apply(settings)
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    service = Service(id=1, code="maps", name="Maps", api_key_hashes=(hashed,))
    producer = KafkaRecordProducer(settings)
    producer.start()
    assert producer.wait_connected(20)
    producer.send(Record(settings.topic(CATALOG), service.model_dump_json().encode(), key=b"service/1")).result(20)
    producer.close(5)
    return settings


@contextmanager
def _running(settings: Settings) -> Iterator[Gateway]:
    gateway = Gateway(settings, lambda: FakeOdooTransport({}))
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.close()


@asynccontextmanager
async def _client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=gateway.app),
        base_url="http://gateway/api/billing/v1",
        headers={"Authorization": f"Bearer {KEY}"},
    ) as client:
        yield client


def _events(*keys: str) -> dict[str, Any]:
    hour = {"period_start": "2026-07-01T00:00:00Z", "period_end": "2026-07-01T01:00:00Z"}
    counter = {"subscription_external_id": "sub-1", "metric_code": "api_calls", "quantity": 5, **hour}
    return {"events": [{**counter, "idempotency_key": key} for key in keys]}


def _keys_on(settings: Settings) -> list[str]:
    """Return the idempotency keys on the usage topic, as a committed reader sees them."""
    keys: list[str] = []
    for record in read_cold(settings.kafka_bootstrap, settings.topic(USAGE)):
        columns, refused = decode_batch(record.value)
        assert not refused
        keys += columns.keys
    return keys


async def test_accepted_counters_are_readable_at_once(kafka_bootstrap: str, topic_prefix: str) -> None:
    """After 202 a committed reader finds the record."""
    settings = _prepared(kafka_bootstrap, topic_prefix)
    with _running(settings) as gateway:
        wait_until(gateway.is_ready, 60, "catalog read")
        async with _client(gateway) as client:
            answer = await client.post("/usage", json=_events("a", "b"))
            assert (answer.status_code, answer.json()) == (202, {"status": "ok", "accepted": 2})
            assert _keys_on(settings) == ["a", "b"]


async def test_a_new_key_and_a_revoked_one_count_without_restart(kafka_bootstrap: str, topic_prefix: str) -> None:
    """The catalog is followed, not only read: keys come and go while the gateway runs."""
    settings = _prepared(kafka_bootstrap, topic_prefix)
    revoked = Service(id=1, code="maps", name="Maps", active=False)
    producer = KafkaRecordProducer(settings)
    producer.start()
    with _running(settings) as gateway:
        wait_until(gateway.is_ready, 60, "catalog read")
        async with _client(gateway) as client:
            assert (await client.get("/plans")).status_code == 200
            assert producer.wait_connected(20)
            producer.send(Record(settings.topic(CATALOG), revoked.model_dump_json().encode(), key=b"service/1"))

            async def is_refused() -> bool:
                return (await client.get("/plans")).status_code == 401

            await wait_until_async(is_refused, 20, "the revoked key refused")
    producer.close(5)


def _kill(broker: Broker) -> Callable[[], None]:
    broker.kill()
    return broker.start


def _pause(broker: Broker) -> Callable[[], None]:
    broker.pause()
    return broker.resume


@pytest.mark.faults
@pytest.mark.parametrize("break_it", [_kill, _pause])
async def test_a_lost_broker_is_503_and_all_is_well_when_it_is_back(
    broker: Broker, break_it: Callable[[Broker], Callable[[], None]]
) -> None:
    """Killed or silent: 503 with Retry-After in time, nothing piles up, 202 again without a restart of the gateway."""
    settings = _prepared(broker.bootstrap, "billing.")
    with _running(settings) as gateway:
        wait_until(gateway.is_ready, 60, "catalog read")
        async with _client(gateway) as client:
            assert (await client.post("/usage", json=_events("before"))).status_code == 202
            mend = break_it(broker)
            for number in range(5):
                asked_s = time.monotonic()
                answer = await client.post("/usage", json=_events(f"during-{number}"))
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) >= 1
                assert time.monotonic() - asked_s < ACK_TIMEOUT_S + 20
            mend()

            async def is_back() -> bool:
                return (await client.post("/usage", json=_events("after"))).status_code == 202

            await wait_until_async(is_back, 60, "202 again")
            keys = _keys_on(settings)
            assert {"before", "after"} <= set(keys)


@pytest.mark.faults
async def test_the_gateway_starts_before_its_broker(broker: Broker) -> None:
    """Without Kafka at the start it answers 503, health excepted, and comes up once Kafka does."""
    settings = _prepared(broker.bootstrap, "billing.")
    broker.stop()
    with _running(settings) as gateway:
        async with _client(gateway) as client:
            assert (await client.get("/health")).status_code == 200
            answer = await client.post("/usage", json=_events("early"))
            assert answer.status_code == 503
            assert "retry-after" in answer.headers
            assert not gateway.is_ready()
            broker.start()
            wait_until(gateway.is_ready, 30, "catalog read")

            async def is_accepted() -> bool:
                return (await client.post("/usage", json=_events("late"))).status_code == 202

            await wait_until_async(is_accepted, 30, "202")


_SERVE = """
import sys
from producers.gateway import run
from schemas.errors import OdooUnavailable
from schemas.settings import load

def no_odoo():
    raise OdooUnavailable("no Odoo in this test")

run(load(), no_odoo)
"""


def test_sigterm_ends_the_process_with_exit_code_0(kafka_bootstrap: str, topic_prefix: str, free_port: int) -> None:
    """It serves over HTTP, and a polite stop is a success."""
    settings = _prepared(kafka_bootstrap, topic_prefix)
    environment = {
        "PATH": os.environ["PATH"],
        "FUSION_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "FUSION_TOPIC_PREFIX": topic_prefix,
        "FUSION_GATEWAY_PORT": str(free_port),
    }
    url = f"http://127.0.0.1:{free_port}/api/billing/v1"
    with subprocess.Popen([sys.executable, "-c", _SERVE], env=environment) as process:
        try:

            def is_accepted() -> bool:
                try:
                    answer = httpx.post(f"{url}/usage", json=_events("a"), headers={"Authorization": f"Bearer {KEY}"})
                except httpx.TransportError:
                    return False
                return answer.status_code == 202

            wait_until(is_accepted, 30, "202 over HTTP")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert "a" in _keys_on(settings)
