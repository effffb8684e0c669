"""The sinks under kill -9, with Odoo or Kafka away: nothing lost, nothing doubled, order kept."""

import threading
from collections.abc import Iterator

import pytest

from deploy.adapters.odoo import OdooRpcTransport
from schemas.derived import LineStatus
from schemas.events import DeliveryState
from schemas.topics import EVENTS, TOPICS
from sinks.health import Health
from sinks.kafka_client import GroupConsumer
from sinks.odoo import role as odoo_role
from sinks.webhooks import role as webhook_role
from tests.integration.odoo_harness import OdooBooks, make_books
from tests.integration.sinks_harness import (
    PARTITIONS,
    Pipeline,
    Receiver,
    endpoint,
    event,
    process,
    running,
    stop_politely,
)
from tests.stack.kafka import Broker
from tests.stack.odoo import OdooServer
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

SUBSCRIPTIONS = 6


@pytest.fixture
def books(odoo: OdooServer) -> Iterator[OdooBooks]:
    """Return a service of this test's own; Odoo runs again afterwards."""
    yield make_books(odoo, SUBSCRIPTIONS)
    odoo.start()


def all_delivered(sink_topics: Pipeline, count: int) -> bool:
    """Tell whether so many deliveries are written down as delivered; anything else is shown."""
    deliveries = sink_topics.deliveries()
    assert len(deliveries) == count, sorted(deliveries)
    left = {name: one for name, one in deliveries.items() if one.state is not DeliveryState.DELIVERED}
    assert left == {}, left
    return True


def test_a_delivery_survives_kill_9_in_the_middle_of_an_attempt(sink_topics: Pipeline, receiver: Receiver) -> None:
    """The receiver has the request, the sink dies before the answer: it comes again, same id, same bytes."""
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hang"))
    with process("webhook-sink", sink_topics.variables) as child:
        sink_topics.publish_events(event("evt_1"))
        receiver.wait_for("/hang", 1)
        child.kill()
        child.wait()
    receiver.release.set()
    with process("webhook-sink", sink_topics.variables) as child:
        first, second = receiver.wait_for("/hang", 2)[:2]
        wait_until(lambda: all_delivered(sink_topics, 1), 30, "it is written down as delivered")
        assert stop_politely(child) == 0
    assert first.body == second.body
    assert first.event_id == second.event_id == "evt_1"


def test_repeated_kills_lose_no_event_and_keep_each_subscriptions_order(
    sink_topics: Pipeline, receiver: Receiver
) -> None:
    """Three kills while events come in and the receiver refuses every now and then."""
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    receiver.answers["/hook"] = [(200, {}), (500, {}), (200, {}), (503, {})] * 4
    sent: dict[str, list[str]] = {f"sub-{number}": [] for number in range(4)}
    for turn in range(4):
        with process("webhook-sink", sink_topics.variables) as child:
            for subscription, ids in sent.items():
                ids.append(f"{subscription}.{turn}")
                sink_topics.publish_events(event(ids[-1], subscription))
            receiver.wait_for("/hook", 4 * (turn + 1) - 2)
            child.kill()
    with process("webhook-sink", sink_topics.variables):
        wait_until(lambda: all_delivered(sink_topics, 16), 60, "all are written down as delivered")
    received = list(dict.fromkeys(receiver.ids("/hook")))
    for subscription, ids in sent.items():
        assert [name for name in received if name.startswith(subscription)] == ids


def test_a_fan_out_repeated_from_the_start_delivers_nothing_twice(sink_topics: Pipeline, receiver: Receiver) -> None:
    """Its committed offsets are gone (retention, a person): first states come again behind later ones."""
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))

    def work(stop: threading.Event, health: Health) -> None:
        webhook_role.run(sink_topics.settings, stop, health)

    with running(work):
        sink_topics.publish_events(*(event(f"evt_{number}") for number in range(3)))
        receiver.wait_for("/hook", 3)
        wait_until(lambda: all_delivered(sink_topics, 3), 30, "three delivered")
    forget_offsets(sink_topics)
    with running(work):
        sink_topics.publish_events(event("evt_3"))
        receiver.wait_for("/hook", 4)
        wait_until(lambda: all_delivered(sink_topics, 4), 30, "the last word is delivered again")
    assert receiver.ids("/hook") == ["evt_0", "evt_1", "evt_2", "evt_3"]


@pytest.mark.odoo
def test_odoo_stopped_loses_nothing_and_the_sink_goes_on_by_itself(
    sink_topics: Pipeline, books: OdooBooks, odoo: OdooServer
) -> None:
    """Rows wait in Kafka, the sink says it is not ready, lines appear when Odoo is back."""
    away = Pipeline(sink_topics.variables | odoo.variables())

    def work(stop: threading.Event, health: Health) -> None:
        odoo_role.run(away.settings, OdooRpcTransport, stop, health)

    with running(work) as health:
        wait_until(health.is_ready, 30, "the sink is ready")
        odoo.kill()
        away.publish_overage(*(books.record(f"sub-{number}", "10") for number in range(SUBSCRIPTIONS)))
        wait_until(lambda: not health.is_ready(), 30, "the sink has noticed")
        away.publish_overage(books.record("sub-0", "11", offset=2))
        assert away.lines() == []
        odoo.start()
        books.wait_for_line("sub-0", 11.0)
        wait_until(health.is_ready, 30, "the sink is ready again")
        for number in range(1, SUBSCRIPTIONS):
            books.wait_for_line(f"sub-{number}", 10.0)


@pytest.mark.odoo
def test_kill_9_of_the_odoo_sink_doubles_no_line(sink_topics: Pipeline, books: OdooBooks, odoo: OdooServer) -> None:
    """Killed at whatever point it has reached, three times; the next one ends the work."""
    killed = Pipeline(sink_topics.variables | odoo.variables() | {"FUSION_ODOO_ROWS_PER_CALL": "2"})
    for turn in range(1, 4):
        with process("odoo-sink", killed.variables) as child:
            killed.publish_overage(
                *(books.record(f"sub-{number}", str(10 * turn), turn) for number in range(SUBSCRIPTIONS))
            )
            lines_told(killed, 2 * turn)
            child.kill()
    with process("odoo-sink", killed.variables) as child:
        for number in range(SUBSCRIPTIONS):
            books.wait_for_line(f"sub-{number}", 30.0)
        assert stop_politely(child) == 0
    assert LineStatus.PARKED not in {line.status for line in killed.lines()}


@pytest.mark.odoo
def test_the_odoo_sink_goes_on_after_kafka_was_killed(
    broker: Broker, books: OdooBooks, odoo: OdooServer, sink_topics: Pipeline
) -> None:
    """Nobody restarts the sink."""
    for topic in TOPICS:
        broker.create_topic(f"k.{topic.name}", 2)
    private = {"FUSION_KAFKA_BOOTSTRAP": broker.bootstrap, "FUSION_TOPIC_PREFIX": "k."}
    own = Pipeline(sink_topics.variables | odoo.variables() | private)
    with process("odoo-sink", own.variables) as child:
        own.publish_overage(books.record("sub-0", "10"))
        books.wait_for_line("sub-0", 10.0)
        broker.kill()
        broker.start()
        own.publish_overage(books.record("sub-0", "20", offset=2))
        books.wait_for_line("sub-0", 20.0)
        assert stop_politely(child) == 0


def lines_told(sink_topics: Pipeline, count: int) -> None:
    """Return once lines.v1 has at least so many records."""
    wait_until(lambda: len(sink_topics.lines()) >= count, 60, f"{count} records on lines.v1")


def forget_offsets(sink_topics: Pipeline) -> None:
    """Let the fan-out begin at the start again, as if nothing had been committed."""
    settings = sink_topics.settings
    consumer = GroupConsumer(settings, settings.topic(EVENTS), f"{settings.topic_prefix}webhook-fanout", 1)
    assigned: set[int] = set()

    def all_assigned() -> bool:
        consumer.poll(0.1)
        assigned.update(consumer.take_assigned())
        return len(assigned) == PARTITIONS

    wait_until(all_assigned, 30, "the group is ours alone")
    consumer.commit(dict.fromkeys(range(PARTITIONS), 0))
    consumer.close()
