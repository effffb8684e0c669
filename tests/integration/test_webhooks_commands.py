"""`fusion-billing webhooks …` beside a running sink."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import app
from schemas.events import DeliveryState
from sinks.health import Health
from sinks.webhooks import role
from tests.integration.sinks_harness import (
    Pipeline,
    Receiver,
    endpoint,
    event,
    make_pipeline,
    receiving,
    running,
)
from tests.stack.kafka import TopicMaker
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def pipeline(kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker) -> Iterator[Pipeline]:
    """Return fresh topics with a running sink."""
    pipeline = make_pipeline(kafka_bootstrap, topic_prefix, topics)

    def work(stop: threading.Event, health: Health) -> None:
        role.run(pipeline.settings, stop, health)

    with running(work):
        yield pipeline


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return an app's back end."""
    with receiving() as receiver:
        yield receiver


def webhooks(pipeline: Pipeline, *words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["webhooks", *words], env=pipeline.variables)


def documents(result: Result) -> list[Any]:
    """Return the JSON the command printed; the sink in this process logs to the same place."""
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith(("{", "["))]


def wait_for_state(pipeline: Pipeline, event_id: str, state: DeliveryState) -> None:
    """Return once a delivery is in this state."""

    def reached() -> bool:
        delivery = pipeline.deliveries().get(event_id)
        assert delivery is not None
        assert delivery.state is state, delivery
        return True

    wait_until(reached, 30, f"{event_id} is {state}")


def test_what_died_is_listed_shown_and_replayed_with_the_same_bytes(pipeline: Pipeline, receiver: Receiver) -> None:
    """410, then the endpoint is enabled and the event replayed; a second replay of the range finds nothing dead."""
    receiver.answers["/hook"] = [(410, {})]
    pipeline.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    pipeline.publish_events(event("evt_1"))
    wait_for_state(pipeline, "evt_1", DeliveryState.DEAD)
    listed = webhooks(pipeline, "list", "--state", "dead", "--json")
    assert [one["event_id"] for one in documents(listed)] == ["evt_1"]
    (shown,) = documents(webhooks(pipeline, "show", "evt_1", "--json"))
    assert shown[0]["last_status"] == 410
    assert shown[0]["endpoint"]["status"]["state"] == "disabled"
    assert webhooks(pipeline, "enable", "1").exit_code == 0
    assert "1 deliveries begin anew" in webhooks(pipeline, "replay", "--endpoint", "1", "--yes").stdout
    first, second = receiver.wait_for("/hook", 2)
    assert first.body == second.body
    wait_for_state(pipeline, "evt_1", DeliveryState.DELIVERED)
    assert "0 deliveries begin anew" in webhooks(pipeline, "replay", "--endpoint", "1", "--yes").stdout


def test_delivered_events_are_replayed_by_id_and_by_time(pipeline: Pipeline, receiver: Receiver) -> None:
    """For a receiver that has lost its data: its service's events since a moment."""
    pipeline.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    pipeline.publish_events(event("evt_1"), event("evt_2"))
    wait_for_state(pipeline, "evt_2", DeliveryState.DELIVERED)
    assert webhooks(pipeline, "replay", "evt_1", "--yes").exit_code == 0
    receiver.wait_for("/hook", 3)
    wait_for_state(pipeline, "evt_1", DeliveryState.DELIVERED)
    words = ("replay", "--service", "nexamaps", "--state", "delivered", "--yes", "--since")
    assert "2 deliveries" in webhooks(pipeline, *words, "2026-06-30T00:00:00Z").stdout
    receiver.wait_for("/hook", 5)
    assert "0 deliveries" in webhooks(pipeline, *words, "2026-07-02T00:00:00+02:00").stdout
    assert webhooks(pipeline, *words, "yesterday").exit_code == 2


def test_a_disabled_endpoint_gets_nothing_until_it_is_enabled(pipeline: Pipeline, receiver: Receiver) -> None:
    """Its events wait without a charge; `test` says so and then shows a delivery."""
    pipeline.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    assert webhooks(pipeline, "test", "1").exit_code == 0
    assert webhooks(pipeline, "disable", "1", "--yes").exit_code == 0
    refused = webhooks(pipeline, "test", "1", "--wait-s", "2")
    assert refused.exit_code == 1
    assert "no attempt within 2 s" in refused.stdout
    assert len(receiver.requests) == 1
    assert webhooks(pipeline, "enable", "1").exit_code == 0
    receiver.wait_for("/hook", 2)
    assert json.loads(receiver.requests[0].body)["type"] == "webhook.test"


def test_wrong_use_is_told(pipeline: Pipeline) -> None:
    """Unknown endpoints and events, and a replay of everything by accident."""
    assert webhooks(pipeline, "test", "77").exit_code == 2
    assert webhooks(pipeline, "show", "nothing").exit_code == 1
    assert webhooks(pipeline, "replay", "--yes").exit_code == 2
    assert webhooks(pipeline, "disable", "1").exit_code == 1  # nobody said yes
    assert "0 dead" in webhooks(pipeline, "list").stdout
