"""The sinks' Kafka adapter on a real broker."""

import pytest

from schemas.errors import BrokerUnavailable
from schemas.settings import load
from sinks.kafka_client import GroupConsumer, Outgoing, Publisher, TopicReader
from tests.stack.kafka import TopicMaker
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.kafka

ROUNDS = 12
PARTITIONS = 3


def test_a_member_on_a_fresh_topic_gets_its_partitions(
    kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker
) -> None:
    """Also the leader that joins at once; without the look at the topic first, every other one waits for ever."""
    settings = load({"FUSION_KAFKA_BOOTSTRAP": kafka_bootstrap})
    topic = topics("fresh", PARTITIONS)
    for turn in range(ROUNDS):
        consumer = GroupConsumer(settings, topic, f"{topic_prefix}group-{turn}", 10)
        assigned: set[int] = set()

        def complete(consumer: GroupConsumer = consumer, assigned: set[int] = assigned) -> bool:
            consumer.poll(0.05)
            assigned.update(consumer.take_assigned())
            return len(assigned) == PARTITIONS

        try:
            wait_until(complete, 10, f"all partitions in turn {turn}")
        finally:
            consumer.close()


def test_a_topic_that_does_not_exist_is_a_neighbour_that_is_away(kafka_bootstrap: str, topic_prefix: str) -> None:
    """Roles may start before the topics; they create none by accident."""
    settings = load({"FUSION_KAFKA_BOOTSTRAP": kafka_bootstrap})
    with pytest.raises(BrokerUnavailable, match="does not exist"):
        GroupConsumer(settings, f"{topic_prefix}nothing", f"{topic_prefix}group", 10)
    with pytest.raises(BrokerUnavailable, match="does not exist"):
        TopicReader(settings, f"{topic_prefix}nothing")


def test_what_was_published_is_read_to_the_end(kafka_bootstrap: str, topics: TopicMaker) -> None:
    """All of it the first time, only what is new the second."""
    settings = load({"FUSION_KAFKA_BOOTSTRAP": kafka_bootstrap})
    topic = topics("whole", PARTITIONS)
    publisher, reader = Publisher(settings), TopicReader(settings, topic)
    try:
        publisher.publish(topic, [Outgoing(f"k{number}", b"v") for number in range(50)])
        assert sorted(record.key or b"" for record in reader.read_to_end()) == sorted(
            f"k{number}".encode() for number in range(50)
        )
        publisher.publish(topic, [Outgoing("late", None, partition=1)])
        assert [(record.key, record.value, record.partition) for record in reader.read_to_end()] == [(b"late", None, 1)]
        assert list(reader.read_to_end()) == []
    finally:
        reader.close()
        publisher.close()
