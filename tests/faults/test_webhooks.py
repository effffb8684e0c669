"""The webhook sink's processes under hostile receivers, stopped workers and an absent broker."""

import os
import signal
import threading
from contextlib import ExitStack

import pytest

from schemas.events import DeliveryState
from schemas.topics import TOPICS
from sinks.health import Health
from sinks.webhooks import role
from tests.integration.sinks_harness import (
    Pipeline,
    Receiver,
    endpoint,
    event,
    process,
    running,
    stop_politely,
)
from tests.stack.kafka import Broker
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

HANGING = 100
SESSION_S = 10


def delivered(sink_topics: Pipeline, names: set[str]) -> bool:
    """Tell whether these events are written down as delivered; anything else is shown."""
    states = {name: one.state for name, one in sink_topics.deliveries().items()}
    left = {name: states.get(name) for name in names if states.get(name) is not DeliveryState.DELIVERED}
    assert left == {}, left
    return True


def test_a_hundred_hanging_endpoints_delay_no_healthy_one(sink_topics: Pipeline, receiver: Receiver) -> None:
    """F17: they hold at most their share of the slots, and one connection each until they have answered once."""
    # No hanging request ends by itself before the healthy one has all of its own.
    patient = Pipeline(sink_topics.variables | {"FUSION_WEBHOOK_TIMEOUT_S": "120"})
    for number in range(HANGING):
        sink_topics.publish_endpoint(endpoint(number + 10, f"{receiver.url}/hang/{number}"))
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/well"))

    def work(stop: threading.Event, health: Health) -> None:
        role.run(patient.settings, stop, health)

    with running(work):
        sink_topics.publish_events(*(event(f"evt_{number}", f"sub-{number}") for number in range(10)))
        receiver.wait_for("/well", 10)
        hanging = [one.path for one in list(receiver.requests) if one.path.startswith("/hang")]
        assert len(hanging) == len(set(hanging))
        receiver.release.set()


def test_deliveries_go_on_after_kafka_was_away(broker: Broker, sink_topics: Pipeline, receiver: Receiver) -> None:
    """F6: paused for longer than any of our time-outs, then killed; nobody restarts the sink, nothing is lost."""
    for topic in TOPICS:
        broker.create_topic(f"k.{topic.name}", 2)
    own = Pipeline(sink_topics.variables | {"FUSION_KAFKA_BOOTSTRAP": broker.bootstrap, "FUSION_TOPIC_PREFIX": "k."})
    own.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    receiver.answers["/hook"] = [(200, {}), (200, {}), (503, {})]
    with process("webhook-sink", own.variables) as child:
        own.publish_events(event("evt_0"))
        receiver.wait_for("/hook", 1)
        own.publish_events(*(event(f"evt_{number}", f"sub-{number}") for number in range(1, 20)))
        receiver.wait_for("/hook", 3)
        broker.pause()
        threading.Event().wait(20)  # the outage itself: longer than the acknowledgement's 15 s
        broker.resume()
        wait_until(lambda: delivered(own, {f"evt_{number}" for number in range(20)}), 90, "all are delivered")
        broker.kill()
        broker.start()
        own.publish_events(event("evt_20"))
        wait_until(lambda: delivered(own, {"evt_20"}), 90, "the one after the kill is delivered")
        assert stop_politely(child) == 0
    assert len({one.body for one in receiver.requests}) == 21


def test_a_worker_that_slept_through_its_session_changes_nothing(sink_topics: Pipeline, receiver: Receiver) -> None:
    """F5: stopped with requests in flight, its partitions go to another worker; continued, it takes nothing back."""
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hang"))
    sink_topics.publish_endpoint(endpoint(2, f"{receiver.url}/well"))
    with ExitStack() as stack:
        first = stack.enter_context(process("webhook-sink", sink_topics.variables))
        sink_topics.publish_events(event("evt_1"))
        receiver.wait_for("/hang", 1)
        receiver.wait_for("/well", 1)
        os.kill(first.pid, signal.SIGSTOP)
        try:
            second = stack.enter_context(process("webhook-sink", sink_topics.variables))
            receiver.wait_for("/hang", 2, deadline_s=SESSION_S + 30)
            receiver.release.set()
            sink_topics.publish_events(event("evt_2"))
            receiver.wait_for("/well", 2, deadline_s=60)
        finally:
            os.kill(first.pid, signal.SIGCONT)
        wait_until(lambda: delivered(sink_topics, {"evt_1", "evt_2"}), 60, "both are delivered")
        sink_topics.publish_events(event("evt_3"))
        wait_until(lambda: delivered(sink_topics, {"evt_1", "evt_2", "evt_3"}), 60, "and the third")
        assert stop_politely(second) == 0
        assert stop_politely(first) == 0
    order = list(dict.fromkeys(receiver.ids("/hang")))
    assert order == ["evt_1", "evt_2", "evt_3"]
    assert len({one.body for one in receiver.requests if one.event_id == "evt_1"}) == 1
