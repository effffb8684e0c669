"""The sinks' Kafka adapter on a real broker."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from schemas.errors import BrokerUnavailable
from schemas.settings import load
from sinks.kafka_client import GroupConsumer, Outgoing, Publisher, TopicReader
from tests.stack.kafka import Broker, TopicMaker
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
            wait_until(complete, 60, f"all partitions in turn {turn}")
        finally:
            consumer.close()


def test_a_leader_that_joins_anew_between_two_polls_is_a_member(
    kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker
) -> None:
    """As after a change of the topic's metadata; otherwise it sent no heartbeats and polled without a pause."""
    topic = topics("fickle", PARTITIONS)
    settings = load({"FUSION_KAFKA_BOOTSTRAP": kafka_bootstrap})
    with closing(GroupConsumer(settings, topic, f"{topic_prefix}group", 10)) as consumer:
        coordinator, known = consumer._consumer._coordinator, {topic: set(range(PARTITIONS))}

        def is_member() -> bool:
            consumer.poll(0.05)
            return bool(coordinator.stable()) and coordinator._assignment_snapshot == known

        wait_until(is_member, 60, "it has joined, knowing the partitions")
        coordinator._assignment_snapshot = {topic: {"one partition": 1}}
        consumer.poll(0)
        wait_until(lambda: coordinator._join_task.is_done, 60, "the answer is here, and nobody waits for it")
        wait_until(is_member, 60, "it is a member again")


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


@pytest.mark.faults
def test_a_publisher_recovers_from_an_outage_longer_than_its_timeout(broker: Broker) -> None:
    """Killed with records in flight: they fail, the same publisher goes on when the broker is back, nothing haunts."""
    broker.create_topic("one")
    settings = load({"FUSION_KAFKA_BOOTSTRAP": broker.bootstrap})
    publisher = Publisher(settings, ack_timeout_s=3)
    try:
        publisher.publish("one", [Outgoing("before", b"v")])
        broker.pause()
        with ThreadPoolExecutor(1) as thread:
            in_flight = thread.submit(publisher.publish, "one", [Outgoing(f"lost-{n}", b"v") for n in range(20)])
            with pytest.raises(BrokerUnavailable):
                in_flight.result(timeout=20)
        broker.kill()
        broker.start()

        def published() -> bool:
            try:
                publisher.publish("one", [Outgoing("after", b"v")])
            except BrokerUnavailable as error:
                raise AssertionError(str(error)) from error
            return True

        wait_until(published, 60, "the same publisher publishes again")
        publisher.publish("one", [Outgoing("later", b"v")])
        reader = TopicReader(settings, "one")
        keys = [record.key for record in reader.read_to_end()]
        reader.close()
        assert keys[-1] == b"later"
        assert keys.index(b"after") > keys.index(b"before")
    finally:
        publisher.close()


def test_a_member_with_a_worker_id_resumes_at_once_after_a_kill(
    kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker
) -> None:
    """Its successor takes its place while the group still believes the killed one alive (its heartbeats go on here)."""
    settings = load({"FUSION_KAFKA_BOOTSTRAP": kafka_bootstrap})
    topic = topics("static", PARTITIONS)

    def member() -> GroupConsumer:
        return GroupConsumer(settings, topic, f"{topic_prefix}static", 10, worker_id="w-0")

    def has_all(consumer: GroupConsumer) -> bool:
        assigned: set[int] = set()

        def complete() -> bool:
            consumer.poll(0.05)
            assigned.update(consumer.take_assigned())
            return len(assigned) == PARTITIONS

        return wait_until(complete, 60, "all partitions")

    with closing(member()) as first, closing(member()) as second:
        assert has_all(first)
        assert has_all(second)
