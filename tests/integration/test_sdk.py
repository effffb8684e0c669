"""The SDK on a real broker."""

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaProducer

from producers.sdk import ClientLimits, NotAcknowledged, UsageClient, counter_key
from schemas.settings import Settings, load
from schemas.topics import USAGE
from schemas.wire import decode_batch
from tests.stack.kafka import Broker, TopicMaker
from tests.stack.reading import read_cold
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.kafka

PARTITIONS = 4


@pytest.fixture
def settings(kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker) -> Settings:
    """Return settings for a usage topic of the test's own."""
    topics(USAGE.name, PARTITIONS)
    return load({}, kafka_bootstrap=kafka_bootstrap, topic_prefix=topic_prefix)


def fields(number: int, **changes: Any) -> dict[str, Any]:
    """Fields of a good counter, all different by `number`."""
    return {
        "subscription": f"kunde-é/{number % 20}",
        "metric": "api_calls",
        "quantity": number,
        "period_start": "2026-07-01T00:00:00Z",
        "period_end": "2026-07-01T01:00:00Z",
        "idempotency_key": counter_key(f"kunde-é/{number % 20}", "api_calls", "2026-07-01T00:00:00Z", str(number)),
        **changes,
    }


def records_in(bootstrap: str, topic: str) -> list[tuple[int, bytes]]:
    """Return (partition, value) of every record of the topic."""
    return [(record.partition, record.value) for record in read_cold(bootstrap, topic)]


def quantities_by_key(values: list[bytes]) -> dict[str, list[Any]]:
    """Return every value each idempotency key ever had, in log order."""
    found: dict[str, list[Any]] = {}
    for value in values:
        columns, refused = decode_batch(value)
        assert not refused
        for key, quantity in zip(columns.keys, columns.quantities, strict=True):
            found.setdefault(key, []).append(quantity)
    return found


def test_flush_means_that_kafka_has_every_counter(settings: Settings) -> None:
    """Two thousand counters, a few records, each counter once and on the partition its key asks for."""
    with UsageClient("nexamaps", settings=settings) as client:
        for number in range(2000):
            client.add(**fields(number))
        client.flush(timeout_s=30)
        assert client.unacknowledged == 0
        records = records_in(settings.kafka_bootstrap, settings.topic(USAGE))
    found = quantities_by_key([value for _, value in records])
    assert found == {fields(number)["idempotency_key"]: [number] for number in range(2000)}
    assert len(records) <= 2000 // 100


def test_any_client_that_publishes_with_the_documented_key_agrees_on_the_partition(settings: Settings) -> None:
    """kafka-python's own partitioner and the SDK put one subscription on one partition."""
    topic = settings.topic(USAGE)
    with UsageClient("nexamaps", settings=settings) as client:
        for number in range(20):
            client.add(**fields(number))
    ours = {
        name: partition
        for partition, value in records_in(settings.kafka_bootstrap, topic)
        for name in decode_batch(value)[0].subscriptions
    }
    producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
    try:
        theirs = {name: producer.send(topic, b"{}", key=f"nexamaps/{name}".encode()).get(10).partition for name in ours}
    finally:
        producer.close()
    assert ours == theirs
    assert len(set(ours.values())) > 1


def test_two_threads_and_a_correction(settings: Settings) -> None:
    """The later value of a key stands later in the log, whoever else publishes meanwhile."""
    with UsageClient("nexamaps", settings=settings, limits=ClientLimits(linger_s=0)) as client:

        def noise() -> None:
            for number in range(500):
                client.add(**fields(number, idempotency_key=f"noise-{number}"))

        thread = threading.Thread(target=noise)
        thread.start()
        for quantity in range(50):
            client.add(**fields(3, quantity=quantity, idempotency_key="corrected"))
        thread.join()
        client.flush(30)
    found = quantities_by_key([value for _, value in records_in(settings.kafka_bootstrap, settings.topic(USAGE))])
    assert found["corrected"] == list(range(50))


async def test_asyncio(settings: Settings) -> None:
    """The asynchronous context manager flushes."""
    async with UsageClient("nexamaps", settings=settings) as client:
        await client.add_async(**fields(1))
        await client.flush_async(timeout_s=30)
        assert client.unacknowledged == 0


@pytest.mark.faults
def test_a_broker_that_is_killed_loses_nothing(broker: Broker, topic_prefix: str) -> None:
    """Killed in the middle and started again: every counter arrives, its last value last, and `flush` says so."""
    settings = load({}, kafka_bootstrap=broker.bootstrap, topic_prefix=topic_prefix)
    broker.create_topic(settings.topic(USAGE), 2)
    with UsageClient("nexamaps", settings=settings, limits=ClientLimits(ack_timeout_s=2, linger_s=0)) as client:
        for number in range(300):
            client.add(**fields(number))
        client.flush(30)
        broker.kill()
        for number in range(300, 600):
            client.add(**fields(number))
        client.add(**fields(5, quantity=7))
        with pytest.raises(NotAcknowledged) as caught:
            client.flush(3)  # longer than one attempt, so that whole records fail and are sent again
        assert len(caught.value.counters) == 301
        broker.start()
        client.flush(60)
    found = quantities_by_key([value for _, value in records_in(broker.bootstrap, settings.topic(USAGE))])
    assert found.keys() == {fields(number)["idempotency_key"] for number in range(600)}
    assert found[fields(5)["idempotency_key"]][-1] == 7


@pytest.mark.faults
def test_a_client_may_be_made_before_its_broker(broker: Broker, topic_prefix: str) -> None:
    """Counters are taken while Kafka is away, and sent when it comes."""
    settings = load({}, kafka_bootstrap=broker.bootstrap, topic_prefix=topic_prefix)
    broker.create_topic(settings.topic(USAGE), 2)
    broker.stop()
    with UsageClient("nexamaps", settings=settings) as client:
        client.add(**fields(1))
        with pytest.raises(NotAcknowledged):
            client.flush(0.5)
        broker.start()
        client.flush(60)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """A closed client leaves no thread of its own behind."""
    yield
    wait_until(
        lambda: not any(thread.name == "fusion-usage-client" for thread in threading.enumerate()),
        10,
        "no client thread",
    )
    gc.collect()
