"""What every `RecordProducer` promises: the fake that apps test with and the one over a real broker."""

from collections.abc import Iterator

import pytest

from producers.kafka_client import KafkaRecordProducer, Record, RecordProducer
from producers.testing import FakeProducer
from schemas.settings import load
from tests.stack.kafka import TopicMaker

WAIT_S = 20


class RecordProducerContract:
    """The promises; subclasses say where producer and topic come from."""

    def test_it_knows_the_partitions(self, producer: RecordProducer, topic: str) -> None:
        """Packing needs the number."""
        assert producer.partitions(topic) == 4

    def test_a_record_gets_its_place(self, producer: RecordProducer, topic: str) -> None:
        """The future tells partition and offset, and both records of a partition are in the order sent."""
        first, second = (producer.send(Record(topic, b"{}", partition=2)) for _ in range(2))
        assert first.result(WAIT_S).partition == 2
        assert second.result(WAIT_S).offset == first.result(WAIT_S).offset + 1

    def test_a_future_cannot_be_cancelled(self, producer: RecordProducer, topic: str) -> None:
        """A waiter that gives up does not make Kafka's answer an error."""
        future = producer.send(Record(topic, b"{}", partition=0))
        assert not future.cancel()
        assert future.result(WAIT_S).partition == 0

    def test_flush_waits_for_all(self, producer: RecordProducer, topic: str) -> None:
        """After a flush every future is done."""
        futures = [producer.send(Record(topic, b"{}", partition=number % 4)) for number in range(50)]
        assert producer.flush(WAIT_S)
        assert all(future.done() for future in futures)


class TestFakeProducer(RecordProducerContract):
    """In memory."""

    @pytest.fixture
    def producer(self) -> FakeProducer:
        """Return the fake."""
        return FakeProducer(partitions=4)

    @pytest.fixture
    def topic(self) -> str:
        """Return any name."""
        return "billing.usage.v1"


@pytest.mark.kafka
class TestKafkaRecordProducer(RecordProducerContract):
    """On the real broker."""

    @pytest.fixture
    def topic(self, topics: TopicMaker) -> str:
        """Return a topic of the test's own."""
        return topics("usage.v1", 4)

    @pytest.fixture
    def producer(self, kafka_bootstrap: str, topic: str) -> Iterator[KafkaRecordProducer]:
        """Return a connected producer."""
        made = KafkaRecordProducer(load({}, kafka_bootstrap=kafka_bootstrap), topics=[topic])
        made.start()
        assert made.wait_connected(WAIT_S)
        yield made
        made.close(5)
