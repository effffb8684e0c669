"""`fusion-billing webhooks …` beside a running sink."""

import json
import re
import shlex
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import app
from deploy.local.settings import REPOSITORY
from schemas.events import DeliveryState
from sinks.health import Health
from sinks.webhooks import role
from tests.integration.sinks_harness import (
    Pipeline,
    Receiver,
    endpoint,
    event,
    running,
)
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def sink_topics(sink_topics: Pipeline) -> Iterator[Pipeline]:
    """Return fresh topics with a running sink."""

    def work(stop: threading.Event, health: Health) -> None:
        role.run(sink_topics.settings, stop, health)

    with running(work):
        yield sink_topics


def webhooks(sink_topics: Pipeline, *words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["webhooks", *words], env=sink_topics.variables)


def documents(result: Result) -> list[Any]:
    """Return the JSON the command printed; the sink in this process logs to the same place."""
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith(("{", "["))]


def wait_for_state(sink_topics: Pipeline, event_id: str, state: DeliveryState) -> None:
    """Return once a delivery is in this state."""

    def reached() -> bool:
        delivery = sink_topics.deliveries().get(event_id)
        assert delivery is not None
        assert delivery.state is state, delivery
        return True

    wait_until(reached, 30, f"{event_id} is {state}")


def test_what_died_is_listed_shown_and_replayed_with_the_same_bytes(sink_topics: Pipeline, receiver: Receiver) -> None:
    """410, then the endpoint is enabled and the event replayed; a second replay of the range finds nothing dead."""
    receiver.answers["/hook"] = [(410, {})]
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    sink_topics.publish_events(event("evt_1"))
    wait_for_state(sink_topics, "evt_1", DeliveryState.DEAD)
    listed = webhooks(sink_topics, "list", "--state", "dead", "--json")
    assert [one["event_id"] for one in documents(listed)] == ["evt_1"]
    (shown,) = documents(webhooks(sink_topics, "show", "evt_1", "--json"))
    assert shown[0]["last_status"] == 410
    assert shown[0]["endpoint"]["status"]["state"] == "disabled"
    assert webhooks(sink_topics, "enable", "1").exit_code == 0
    assert "1 deliveries begin anew" in webhooks(sink_topics, "replay", "--endpoint", "1", "--yes").stdout
    first, second = receiver.wait_for("/hook", 2)
    assert first.body == second.body
    wait_for_state(sink_topics, "evt_1", DeliveryState.DELIVERED)
    assert "0 deliveries begin anew" in webhooks(sink_topics, "replay", "--endpoint", "1", "--yes").stdout


def test_delivered_events_are_replayed_by_id_and_by_time(sink_topics: Pipeline, receiver: Receiver) -> None:
    """For a receiver that has lost its data: its service's events since a moment."""
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    sink_topics.publish_events(event("evt_1"), event("evt_2"))
    wait_for_state(sink_topics, "evt_2", DeliveryState.DELIVERED)
    assert webhooks(sink_topics, "replay", "evt_1", "--yes").exit_code == 0
    receiver.wait_for("/hook", 3)
    wait_for_state(sink_topics, "evt_1", DeliveryState.DELIVERED)
    words = ("replay", "--service", "nexamaps", "--state", "delivered", "--yes", "--since")
    assert "2 deliveries" in webhooks(sink_topics, *words, "2026-06-30T00:00:00Z").stdout
    receiver.wait_for("/hook", 5)
    assert "0 deliveries" in webhooks(sink_topics, *words, "2026-07-02T00:00:00+02:00").stdout
    assert webhooks(sink_topics, *words, "yesterday").exit_code == 2


def test_a_disabled_endpoint_gets_nothing_until_it_is_enabled(sink_topics: Pipeline, receiver: Receiver) -> None:
    """Its events wait without a charge; `test` says so and then shows a delivery."""
    sink_topics.publish_endpoint(endpoint(1, f"{receiver.url}/hook"))
    assert webhooks(sink_topics, "test", "1").exit_code == 0
    assert webhooks(sink_topics, "disable", "1", "--yes").exit_code == 0
    refused = webhooks(sink_topics, "test", "1", "--wait-s", "2")
    assert refused.exit_code == 1
    assert "no attempt within 2 s" in refused.stdout
    assert len(receiver.requests) == 1
    assert webhooks(sink_topics, "enable", "1").exit_code == 0
    receiver.wait_for("/hook", 2)
    assert json.loads(receiver.requests[0].body)["type"] == "webhook.test"


def test_wrong_use_is_told(sink_topics: Pipeline) -> None:
    """Unknown endpoints and events, and a replay of everything by accident."""
    assert webhooks(sink_topics, "test", "77").exit_code == 2
    assert webhooks(sink_topics, "show", "nothing").exit_code == 1
    assert webhooks(sink_topics, "replay", "--yes").exit_code == 2
    assert webhooks(sink_topics, "disable", "1").exit_code == 1  # nobody said yes
    assert "0 dead" in webhooks(sink_topics, "list").stdout


def test_the_documented_commands_run_as_they_are_written(sink_topics: Pipeline, receiver: Receiver) -> None:
    """Each line of docs/webhooks.md, in its order, with the id of a real event; the operator says yes."""
    text = (REPOSITORY / "docs" / "webhooks.md").read_text()
    block = re.search(r"^```\n(fusion-billing webhooks .*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block
    lines = [shlex.split(line.replace("EVENT", "evt_1"), comments=True) for line in block[1].splitlines()]
    assert {words[2] for words in lines} == {"list", "show", "replay", "disable", "enable", "test"}
    sink_topics.publish_endpoint(endpoint(3, f"{receiver.url}/hook"))
    sink_topics.publish_events(event("evt_1"))
    wait_for_state(sink_topics, "evt_1", DeliveryState.DELIVERED)
    came = 1
    for program, group, *words in lines:
        assert (program, group) == ("fusion-billing", "webhooks")
        ran = CliRunner().invoke(app, ["webhooks", *words], env=sink_topics.variables, input="y\n")
        assert ran.exit_code == 0, (words, ran.output)
        if words[0] == "replay":
            assert "1 deliveries begin anew" in ran.stdout, words
            receiver.wait_for("/hook", came := came + 1)
            wait_for_state(sink_topics, "evt_1", DeliveryState.DELIVERED)
    assert len(receiver.ids("/hook")) == came + 1  # and the test event
