"""The client: packing, order, honest answers. Kafka is scripted here; the real one is in tests/integration."""

import asyncio
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.kafka_client import Position, RecordTooLarge
from producers.sdk import BufferFull, ClientClosed, ClientLimits, InvalidCounter, NotAcknowledged, UsageClient
from schemas.errors import BrokerUnavailable
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of
from schemas.settings import Settings
from schemas.wire import decode_batch
from tests.unit.sdk.scripted_producer import ScriptedProducer

SETTINGS = Settings(kafka_bootstrap="127.0.0.1:1")


def fields(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Fields of a good counter, all different by `number`."""
    return {
        "subscription": f"sub-{number % 7}",
        "metric": "api_calls",
        "quantity": number,
        "period_start": "2026-07-01T00:00:00Z",
        "period_end": "2026-07-01T01:00:00Z",
        "idempotency_key": f"key-{number}",
        **changes,
    }


def client_of(producer: ScriptedProducer, **limits: Any) -> UsageClient:
    """Make a client with these limits."""
    return UsageClient("nexamaps", settings=SETTINGS, producer=producer, limits=ClientLimits(**limits))


@pytest.fixture
def producer() -> ScriptedProducer:
    """Kafka acknowledges everything at once."""
    return ScriptedProducer()


@pytest.fixture
def silent() -> Iterator[ScriptedProducer]:
    """Kafka takes records and does not answer; at the end it answers all, so that clients can close."""
    kafka = ScriptedProducer(answers_at_once=False)
    yield kafka
    kafka.recover()


def keys_in(values: list[bytes]) -> list[str]:
    """Return the idempotency keys in these records, in order."""
    return [key for value in values for key in decode_batch(value)[0].keys]


def test_counters_of_one_partition_share_a_record(producer: ScriptedProducer) -> None:
    """A thousand counters make a few records, each of one partition, and all arrive once."""
    with client_of(producer) as client:
        for number in range(1000):
            client.add(**fields(number))
        client.flush(10)
        assert client.unacknowledged == 0
    assert sorted(keys_in(producer.values())) == sorted(f"key-{number}" for number in range(1000))
    for record, _ in producer.sent:
        assert record.value is not None
        columns, refused = decode_batch(record.value)
        assert not refused
        assert {partition_of(usage_key("nexamaps", name), 4) for name in columns.subscriptions} == {record.partition}


def test_a_record_holds_no_more_counters_than_allowed(producer: ScriptedProducer) -> None:
    """The count limit cuts records."""
    with client_of(producer, counters_per_record=10) as client:
        for number in range(95):
            client.add(**fields(number, subscription="one"))
    sizes = [len(decode_batch(value)[0]) for value in producer.values()]
    assert sum(sizes) == 95
    assert max(sizes) <= 10


@given(keys=st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=40))
def test_a_record_holds_no_more_bytes_than_allowed(keys: list[str]) -> None:
    """Whatever the texts, no encoded record exceeds the byte limit."""
    producer = ScriptedProducer()
    limit = 2000
    with client_of(producer, record_bytes=limit) as client:
        for key in keys:
            try:
                client.add(**fields(idempotency_key=key, properties={"note": key}))
            except InvalidCounter as error:
                assert error.field == "idempotency_key"  # noqa: PT017 -- most texts are good keys
    assert all(len(value) <= limit for value in producer.values())


def test_a_single_counter_over_the_byte_limit_is_refused(producer: ScriptedProducer) -> None:
    """Properties without bound would never fit in a record."""
    with client_of(producer) as client, pytest.raises(InvalidCounter, match="properties: the counter must fit"):
        client.add(**fields(properties={"note": "x" * 600_000}))


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"quantity": 1.5}, "quantity", "must be a decimal number"),
        ({"quantity": "NaN"}, "quantity", "must be finite"),
        ({"metric": "API calls"}, "metric", "1 to 64"),
        ({"subscription": ""}, "subscription", "1 to 255 bytes"),
        ({"idempotency_key": "k" * 256}, "idempotency_key", "1 to 255 bytes"),
        ({"period_start": "2026-07-01T00:00:00"}, "period_start", "offset"),
        ({"period_end": "2026-06-01T00:00:00Z"}, "period_end", "must not lie before"),
        ({"revision": -1}, "revision", "greater than or equal to 0"),
        ({"properties": {"a": [1]}}, "properties", "must be text"),
    ],
)
def test_a_bad_counter_is_refused_at_once(
    producer: ScriptedProducer, changes: dict[str, Any], field: str, message: str
) -> None:
    """The error names the field and what would be right; nothing is taken."""
    with client_of(producer) as client:
        with pytest.raises(InvalidCounter, match=message) as caught:
            client.add(**fields(**changes))
        assert caught.value.field == field
        assert str(caught.value).startswith(f"{field}: ")
        assert client.unacknowledged == 0
    assert not producer.sent


def test_a_malformed_service_is_refused(producer: ScriptedProducer) -> None:
    """The service code is checked when the client is made."""
    with pytest.raises(InvalidCounter, match="service: "):
        UsageClient("Nexa Maps", settings=SETTINGS, producer=producer)


def test_decimals_arrive_exactly(producer: ScriptedProducer) -> None:
    """No digit is lost on the way."""
    exact = Decimal("123456789012345678901234567890.000000000000000001")
    with client_of(producer) as client:
        client.add(**fields(quantity=exact))
    assert list(decode_batch(producer.values()[0])[0].quantities) == [exact]


def test_linger_sends_without_a_flush(producer: ScriptedProducer) -> None:
    """A lone counter leaves after the linger time."""
    client = client_of(producer, linger_s=0.01)
    client.add(**fields())
    producer.wait_sent(1)
    client.close()


def test_flush_names_what_is_not_acknowledged_and_may_be_repeated(silent: ScriptedProducer) -> None:
    """Time runs out, the counters are named; the answer comes, and the next flush returns."""
    client = client_of(silent)
    client.add(**fields(1))
    client.add(**fields(2))
    with pytest.raises(NotAcknowledged) as caught:
        client.flush(0.05)
    assert [counter.idempotency_key for counter in caught.value.counters] == ["key-1", "key-2"]
    assert client.unacknowledged == 2
    silent.recover()
    client.flush(10)
    client.close()


def test_flush_does_not_wait_for_counters_added_later(silent: ScriptedProducer) -> None:
    """The promise covers what was added before the call."""
    client = client_of(silent, linger_s=60)
    client.add(**fields(1, subscription="one"))
    done = threading.Event()

    def flush() -> None:
        client.flush(10)
        done.set()

    thread = threading.Thread(target=flush)
    thread.start()
    (_, first), *_ = silent.wait_sent(1)
    client.add(**fields(2, subscription="one"))
    first.set_result(Position(0, 0))
    assert done.wait(60)
    thread.join()
    assert client.unacknowledged == 1
    silent.answers_at_once = True
    client.close()


def test_a_record_is_the_same_event_however_often_it_is_sent(silent: ScriptedProducer) -> None:
    """Its headers tell a retry from another record."""
    client = client_of(silent, counters_per_record=1)
    client.add(**fields(1, subscription="one"))
    client.add(**fields(2, subscription="one"))
    (_, first), (_, second) = silent.wait_sent(2)
    first.set_exception(BrokerUnavailable("time ran out"))
    second.set_result(Position(0, 0))
    silent.answers_at_once = True
    client.close()
    made = [dict(record.headers) for record, _ in silent.sent]
    assert made[2:] == made[:2]
    assert made[0]["ce_id"] != made[1]["ce_id"]
    assert {(each["ce_type"], each["ce_source"]) for each in made} == {(b"fusion.usage.v1", b"/services/nexamaps")}


def test_a_failed_record_is_sent_again_before_what_came_after_it(silent: ScriptedProducer) -> None:
    """An old value must not land behind a newer one: the later record is sent again, too, although it was taken."""
    client = client_of(silent, counters_per_record=1)
    client.add(**fields(subscription="one", quantity=5))
    client.add(**fields(subscription="one", quantity=7))
    (_, older), (_, newer) = silent.wait_sent(2)
    older.set_exception(BrokerUnavailable("time ran out"))
    newer.set_result(Position(0, 0))
    silent.answers_at_once = True
    client.flush(10)
    client.close()
    quantities = [list(decode_batch(value)[0].quantities) for value in silent.values()]
    assert quantities == [[5], [7], [5], [7]]


def test_a_record_too_large_for_the_broker_is_halved(silent: ScriptedProducer) -> None:
    """A broker with a lower limit than ours still gets everything."""
    client = client_of(silent)
    for number in range(4):
        client.add(**fields(number, subscription="one"))
    client_flush = threading.Thread(target=client.flush, args=(10,))
    client_flush.start()
    (_, whole), *_ = silent.wait_sent(1)
    silent.answers_at_once = True
    whole.set_exception(RecordTooLarge("over the broker's limit"))
    client_flush.join()
    client.close()
    assert keys_in(silent.values()[1:]) == [f"key-{number}" for number in range(4)]
    assert len(silent.sent) == 3


def test_kafka_away_holds_counters_until_it_is_back(producer: ScriptedProducer) -> None:
    """The reason is told, nothing is lost, and no one needs to add again."""
    producer.partition_count = None
    client = client_of(producer)
    client.add(**fields(1))
    with pytest.raises(NotAcknowledged, match="not connected"):
        client.flush(0.05)
    producer.partition_count = 4
    client.flush(10)
    client.close()
    assert keys_in(producer.values()) == ["key-1"]


def test_memory_is_bounded(silent: ScriptedProducer) -> None:
    """Beyond the limit `add` says so, and what was held stays held."""
    client = client_of(silent, unacknowledged_counters=3, block_s=0.01, linger_s=0.0)
    for number in range(3):
        client.add(**fields(number, subscription="one"))
    with pytest.raises(BufferFull, match="3 counters wait"):
        client.add(**fields(3))
    assert client.unacknowledged == 3
    silent.recover()
    client.close()
    assert keys_in(silent.values()) == ["key-0", "key-1", "key-2"]


def test_add_waits_for_room(silent: ScriptedProducer) -> None:
    """Back-pressure: the acknowledgement lets the waiting `add` go on."""
    client = client_of(silent, unacknowledged_counters=1, block_s=10, linger_s=0.0)
    client.add(**fields(1))
    waiting = threading.Thread(target=lambda: client.add(**fields(2)))
    waiting.start()
    silent.wait_sent(1)
    silent.recover()
    waiting.join(10)
    assert not waiting.is_alive()
    client.close()
    assert keys_in(silent.values()) == ["key-1", "key-2"]


def test_a_closed_client_takes_nothing(producer: ScriptedProducer) -> None:
    """Adding after the end is a mistake that is told."""
    client = client_of(producer)
    client.close()
    client.close()
    with pytest.raises(ClientClosed):
        client.add(**fields())


def test_threads_share_a_client(producer: ScriptedProducer) -> None:
    """Eight threads at once lose and double nothing."""
    with client_of(producer, counters_per_record=37) as client:

        def add_all(worker: int) -> None:
            for number in range(200):
                client.add(**fields(number, idempotency_key=f"{worker}-{number}"))

        threads = [threading.Thread(target=add_all, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.flush(10)
    assert sorted(keys_in(producer.values())) == sorted(f"{w}-{n}" for w in range(8) for n in range(200))


async def test_asyncio_is_not_held_up(silent: ScriptedProducer) -> None:
    """While `flush_async` waits, the event loop answers Kafka's part."""
    async with client_of(silent) as client:
        await client.add_async(**fields(1))
        flushing = asyncio.create_task(client.flush_async(10))
        sent = await asyncio.to_thread(silent.wait_sent, 1)
        assert not flushing.done()
        sent[0][1].set_result(Position(0, 0))
        await flushing
