"""The webhook sink on a real broker, against a real HTTP receiver."""

import hashlib
import hmac
import threading
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from schemas.events import DeliveryState, EndpointState
from schemas.topics import CATALOG, DELIVERIES, EVENTS
from sinks.health import Health
from sinks.webhooks import role
from tests.integration.sinks_harness import (
    ENDPOINT_SECRET,
    Pipeline,
    Received,
    Receiver,
    endpoint,
    event,
    make_pipeline,
    running,
)
from tests.stack.kafka import TopicMaker
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.kafka

OLDER_SECRET = "a secret from before the prefix"


@pytest.fixture
def sink(sink_topics: Pipeline) -> Iterator[Health]:
    """Run the sink for the test."""

    def work(stop: threading.Event, health: Health) -> None:
        role.run(sink_topics.settings, stop, health)

    with running(work) as health:
        yield health


def header(request: Received, name: str) -> str:
    """Return a header, whatever its case."""
    return {key.lower(): value for key, value in request.headers.items()}[name.lower()]


@pytest.mark.usefixtures("sink")
def test_an_event_arrives_with_two_verifiable_signatures(sink_topics: Pipeline, receiver: Receiver) -> None:
    """The library of Standard Webhooks and a plain HMAC both accept exactly the bytes that came."""
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook", ENDPOINT_SECRET, OLDER_SECRET))
    sink_topics.publish_events(event("evt_1"))
    (request,) = receiver.wait_for("/hook", 1)
    verified = Webhook(ENDPOINT_SECRET).verify(request.body, request.headers)
    assert verified["id"] == header(request, "webhook-id") == header(request, "X-Fusion-Event-Id") == "evt_1"
    assert header(request, "X-Fusion-Event") == "invoice.paid"
    expected = hmac.new(ENDPOINT_SECRET.encode(), request.body, hashlib.sha256).hexdigest()
    assert header(request, "X-Fusion-Signature") == expected
    assert len(header(request, "webhook-signature").split()) == 2
    assert request.body == (
        b'{"api_version":1,"customer":null,"data":{"amount":"113.00","name":"Zo\\u00e9"},"id":"evt_1",'
        b'"service":"nexamaps","subscription":"sub-1","time":"2026-07-01T00:00:00Z","type":"invoice.paid"}'
    )
    wait_until(
        lambda: sink_topics.deliveries()["evt_1"].state is DeliveryState.DELIVERED, 60, "the delivery is written down"
    )


@pytest.mark.usefixtures("sink")
def test_a_failed_attempt_is_repeated_with_the_same_id_and_body(sink_topics: Pipeline, receiver: Receiver) -> None:
    """500, a redirect that is not followed, then 200; the attempts count up."""
    receiver.answers["/hook"] = [(500, {}), (307, {"Location": f"{receiver.url}/elsewhere"})]
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    sink_topics.publish_events(event("evt_1"))
    requests = receiver.wait_for("/hook", 3)
    assert len({request.body for request in requests}) == 1
    assert {header(request, "webhook-id") for request in requests} == {"evt_1"}
    assert [header(request, "X-Fusion-Attempt") for request in requests] == ["1", "2", "3"]
    assert receiver.ids("/elsewhere") == []
    wait_until(lambda: sink_topics.deliveries()["evt_1"].state is DeliveryState.DELIVERED, 60, "delivered")
    assert sink_topics.deliveries()["evt_1"].attempts == 3


@pytest.mark.usefixtures("sink")
def test_410_disables_the_endpoint_until_it_has_another_url(sink_topics: Pipeline, receiver: Receiver) -> None:
    """Its delivery is dead and kept; what follows waits uncharged, and goes to the new address."""
    receiver.answers["/hook"] = [(410, {})]
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))

    def dead() -> bool:
        return "evt_1" in sink_topics.deliveries() and sink_topics.deliveries()["evt_1"].state is DeliveryState.DEAD

    # Alone: events of several subscriptions are delivered in any order, and the 410 shall be this one's.
    sink_topics.publish_events(event("evt_1"))
    wait_until(dead, 30, "the first is dead")
    gone = sink_topics.deliveries()["evt_1"]
    assert (gone.attempts, gone.last_status) == (1, 410)
    assert gone.body
    assert sink_topics.statuses()[1].state is EndpointState.DISABLED
    sink_topics.publish_events(event("evt_2"), event("evt_3", subscription="sub-2"))
    wait_until(lambda: {"evt_2", "evt_3"} <= sink_topics.deliveries().keys(), 30, "the others wait")
    assert {sink_topics.deliveries()[name].attempts for name in ("evt_2", "evt_3")} == {0}
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/new"))
    receiver.wait_for("/new", 2)
    assert receiver.ids("/hook") == ["evt_1"]
    assert sorted(receiver.ids("/new")) == ["evt_2", "evt_3"]


@pytest.mark.usefixtures("sink")
def test_a_subscription_keeps_its_order_while_others_pass(sink_topics: Pipeline, receiver: Receiver) -> None:
    """The failing first event holds back the second of its subscription, and nothing else."""
    receiver.answers["/hook"] = [(503, {})] * 3
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    sink_topics.publish_events(event("suspended"))
    receiver.wait_for("/hook", 1)
    sink_topics.publish_events(event("restored"), event("other", subscription="sub-2"))
    wait_until(lambda: {"suspended", "restored", "other"} <= set(receiver.ids("/hook")), 30, "all events have arrived")
    order = receiver.ids("/hook")
    assert order.index("restored") > max(place for place, name in enumerate(order) if name == "suspended")
    assert order.index("other") < order.index("restored")


@pytest.mark.usefixtures("sink")
def test_a_hanging_endpoint_delays_no_other(sink_topics: Pipeline, receiver: Receiver) -> None:
    """Many events of an endpoint that never answers, and a healthy neighbour beside it."""
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hang"))
    sink_topics.publish_endpoint(endpoint(2, f"{receiver.url}/well"))
    sink_topics.publish_events(*(event(f"evt_{number}", f"sub-{number}") for number in range(12)))
    receiver.wait_for("/well", 12, deadline_s=10)
    assert 1 <= len(receiver.ids("/hang")) <= 4


@pytest.mark.usefixtures("sink")
def test_events_go_only_to_endpoints_that_want_them(sink_topics: Pipeline, receiver: Receiver) -> None:
    """By service, type and activity."""
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/all"))
    sink_topics.publish_endpoint(endpoint(2, f"{receiver.url}/posted", event_types=("invoice.posted",)))
    sink_topics.publish_endpoint(endpoint(3, f"{receiver.url}/off", active=False))
    sink_topics.publish_events(event("paid"), event("posted", event_type="invoice.posted"))
    receiver.wait_for("/all", 2)
    receiver.wait_for("/posted", 1)
    assert receiver.ids("/posted") == ["posted"]
    assert receiver.ids("/off") == []


@pytest.mark.usefixtures("sink")
def test_unreadable_records_on_any_input_stop_nothing(sink_topics: Pipeline, receiver: Receiver) -> None:
    """Garbage on catalog, events and deliveries."""
    for topic in (CATALOG, EVENTS, DELIVERIES):
        sink_topics.publish_garbage(topic)
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    sink_topics.publish_events(event("evt_1"))
    receiver.wait_for("/hook", 1)


def test_a_mended_url_reaches_deliveries_that_wait(sink_topics: Pipeline, receiver: Receiver, sink: Health) -> None:
    """URL and secrets are looked up at each attempt."""
    receiver.answers["/old"] = [(500, {})] * 100
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/old"))
    sink_topics.publish_events(event("evt_1"))
    receiver.wait_for("/old", 1)
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/new", OLDER_SECRET))
    (request,) = receiver.wait_for("/new", 1)
    expected = hmac.new(OLDER_SECRET.encode(), request.body, hashlib.sha256).hexdigest()
    assert header(request, "X-Fusion-Signature") == expected
    assert sink.is_ready()


def test_private_addresses_are_never_connected_to(
    kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker, receiver: Receiver
) -> None:
    """Without the development switch neither http nor a name that leads home is tried."""
    sink_topics = make_pipeline(kafka_bootstrap, topic_prefix, topics, FUSION_WEBHOOK_ALLOW_PRIVATE="false")

    def work(stop: threading.Event, health: Health) -> None:
        role.run(sink_topics.settings, stop, health)

    def failed() -> bool:
        attempted = sink_topics.deliveries()
        return len(attempted) == 2 and all(one.attempts > 0 for one in attempted.values())

    with running(work):
        sink_topics.publish_endpoint(endpoint(1, "http://example.org/hook", event_types=("a",)))
        sink_topics.publish_endpoint(endpoint(2, "https://localhost:8443/hook", event_types=("b",)))
        sink_topics.publish_events(event("plain", event_type="a"), event("home", event_type="b"))
        wait_until(failed, 30, "both were attempted")
    deliveries = sink_topics.deliveries()
    assert "must be https" in (deliveries["plain"].last_error or "")
    assert "not public" in (deliveries["home"].last_error or "")
    assert receiver.requests == []
