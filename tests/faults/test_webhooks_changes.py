"""The webhook sink while its surroundings change under retries that wait: endpoints, replays, a restart, the clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from deploy.bench.common.scrape import scrape
from deploy.cli import app
from schemas.catalog import Endpoint, catalog_key
from schemas.events import Delivery, DeliveryState
from schemas.topics import CATALOG, DELIVERIES
from sinks.kafka_client import Outgoing
from sinks.webhooks import role
from sinks.webhooks.clock import Clock
from sinks.webhooks.fanout import endpoint_partition
from tests.hostile.behaviours import answer
from tests.hostile.server import Hostile, hostile
from tests.integration.sinks_harness import (
    PARTITIONS,
    Pipeline,
    endpoint,
    event,
    process,
    running,
    stop_politely,
)
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from sinks.health import Health

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

WAITING, OVERDUE = 3_000, 40
JUMP = timedelta(hours=1)
FIRST_WAIT_S = 3.0


@pytest.fixture
def server() -> Iterator[Hostile]:
    """Return a hostile server."""
    with hostile() as server:
        yield server


def ids_on(server: Hostile, path: str) -> list[str]:
    """Return the events that came on a path, in order."""
    return [one.headers["webhook-id"] for one in server.on(path)]


def states(own: Pipeline, *names: str) -> set[DeliveryState | None]:
    """Return the states these events' deliveries are in."""
    found = own.deliveries()
    return {found[name].state if name in found else None for name in names}


def command(own: Pipeline, *words: str) -> str:
    """Run `fusion-billing webhooks …`."""
    ran = CliRunner().invoke(app, ["webhooks", *words], env=own.variables)
    assert ran.exit_code == 0, ran.output
    return str(ran.stdout)


def test_retries_that_wait_follow_their_endpoint(sink_topics: Pipeline, server: Hostile, free_port: int) -> None:
    """F21: disabled, enabled, moved, deleted and back while a retry waits; then the same range replayed twice."""
    first, second, third = (server.url(path) for path in ("/first", "/second", "/third"))
    for path in ("/first", "/second"):
        server.script(path, *[answer(500)] * 1_000)
    names = ("evt_1", "evt_2")
    variables = {"FUSION_OPS_PORT": str(free_port), "FUSION_WEBHOOK_FIRST_WAIT_S": "0.3"}
    own = Pipeline(sink_topics.variables | variables)

    def is_held(reason: str) -> bool:
        return scrape(free_port).get("fusion_webhook_holds_total", {}).get(reason, 0.0) > 0

    own.publish_endpoint(endpoint(1, first))
    with process("webhook-sink", own.variables) as child:
        own.publish_events(*map(event, names))
        wait_until(lambda: server.on("/first"), 60, "it has failed at the first URL, and a retry waits")
        command(own, "disable", "1", "--yes")
        wait_until(lambda: is_held("disabled"), 60, "the retry is due and held")
        before = len(server.came)
        own.publish_endpoint(endpoint(1, second))
        assert states(own, *names) == {DeliveryState.PENDING}
        command(own, "enable", "1")
        wait_until(lambda: server.on("/second"), 60, "enabled, it is sent to its new URL")
        assert len(server.on("/first")) == before
        forget_endpoint(own, 1)
        wait_until(lambda: is_held("unknown"), 60, "the next retry is due, and the endpoint gone")
        assert states(own, *names) == {DeliveryState.PENDING}
        own.publish_endpoint(endpoint(1, third))
        wait_until(lambda: states(own, *names) == {DeliveryState.DELIVERED}, 60, "all that waited is delivered")
        assert ids_on(server, "/third") == list(names)  # in their order, each once
        replay = ("replay", "--endpoint", "1", "--state", "delivered", "--yes")
        assert "2 deliveries" in command(own, *replay)
        command(own, *replay)  # a second time at once: whatever it finds, no new event comes of it
        wait_until(lambda: len(server.on("/third")) >= 4, 60, "the range comes again")
        wait_until(lambda: states(own, *names) == {DeliveryState.DELIVERED}, 60, "and is delivered again")
        assert stop_politely(child) == 0
    assert set(ids_on(server, "/third")) == set(names)
    assert len(server.on("/third")) <= 6  # each life once: two events, two replays at most
    for name in names:
        assert len({one.body for one in server.came if one.headers["webhook-id"] == name}) == 1
    assert len(own.deliveries()) == 2


def forget_endpoint(own: Pipeline, number: int) -> None:
    """Let the catalog forget an endpoint."""
    gone = Endpoint(id=number, service="nexamaps", url="http://gone/", sealed_secrets=())
    own.publish(CATALOG, Outgoing(catalog_key(gone), None))


def test_a_restart_sends_what_is_overdue_first_and_nothing_early(sink_topics: Pipeline, server: Hostile) -> None:
    """F22: thousands of retries wait in the topic; the overdue ones go out the longest overdue first, no other does."""
    variables = {"FUSION_WEBHOOK_ENDPOINT_IN_FLIGHT": "1", "FUSION_WEBHOOK_RATE_PER_S": "1000"}
    own = Pipeline(sink_topics.variables | variables)
    own.publish_endpoint(endpoint(1, server.url("/hook")))
    now = datetime.now(UTC)
    waits = [timedelta(hours=6, seconds=n) for n in range(WAITING)]
    # Written in an order that is neither that of their due times nor its reverse.
    overdue = [timedelta(seconds=-1 - (n * 17) % OVERDUE) for n in range(OVERDUE)]
    written = [_retry(f"r{n}", now, wait) for n, wait in enumerate(waits[:1_500] + overdue + waits[1_500:])]
    partition = endpoint_partition(1, PARTITIONS)
    own.publish(
        DELIVERIES, *(Outgoing(f"{one.event_id}:1", one.model_dump_json().encode(), partition) for one in written)
    )
    due_first = sorted((one for one in written if _due(one) < now), key=_due)

    def work(stop: threading.Event, health: Health) -> None:
        role.run(own.settings, stop, health)

    with running(work):
        wait_until(lambda: len(server.came) >= OVERDUE, 60, "the overdue ones have come")
        # One of now shows that the sink goes on, while those of later wait.
        own.publish_events(event("new", "sub-new"))
        wait_until(lambda: "new" in ids_on(server, "/hook"), 60, "a new event comes at once")
        wait_until(
            lambda: states(own, *(one.event_id for one in due_first)) == {DeliveryState.DELIVERED}, 60, "written"
        )
    assert ids_on(server, "/hook") == [*(one.event_id for one in due_first), "new"]
    left = [one for one in own.deliveries().values() if one.state is DeliveryState.PENDING]
    assert len(left) == WAITING
    assert {one.attempts for one in left} == {1}


def _retry(name: str, now: datetime, wait: timedelta) -> Delivery:
    return Delivery(
        event_id=name,
        event_type="invoice.paid",
        endpoint_id=1,
        service="nexamaps",
        subscription=name,
        body=json.dumps({"id": name, "time": "2026-07-01T00:00:00Z"}),
        state=DeliveryState.PENDING,
        attempts=1,
        created_at=now - timedelta(hours=1),
        next_attempt_at=now + wait,
        last_status=503,
    )


def _due(one: Delivery) -> datetime:
    assert one.next_attempt_at is not None
    return one.next_attempt_at


def test_a_wall_clock_that_jumps_moves_no_retry_that_waits(
    sink_topics: Pipeline, server: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F23: real broker, real receiver; only the role's wall clock is the test's own: an hour back, then forward."""
    offset = timedelta()
    monkeypatch.setattr(role, "Clock", lambda: Clock(now=lambda: datetime.now(UTC) + offset))
    own = Pipeline(sink_topics.variables | {"FUSION_WEBHOOK_FIRST_WAIT_S": str(FIRST_WAIT_S)})
    own.publish_endpoint(endpoint(1, server.url("/hook")))

    def work(stop: threading.Event, health: Health) -> None:
        role.run(own.settings, stop, health)

    def waits(name: str) -> bool:
        found = own.deliveries().get(name)
        return found is not None and (found.state, found.attempts) == (DeliveryState.PENDING, 1)

    with running(work):
        for name, after in (("back", -JUMP), ("forward", timedelta())):
            server.script("/hook", answer(500))
            own.publish_events(event(name, name))
            wait_until(lambda: waits(name), 60, "its first attempt failed and a retry waits")  # noqa: B023
            offset = after
            wait_until(lambda: states(own, name) == {DeliveryState.DELIVERED}, 60, f"delivered ({name})")  # noqa: B023
    for name in ("back", "forward"):
        first, second = (one for one in server.on("/hook") if one.headers["webhook-id"] == name)
        # The wait after the first attempt is twice the unit, ± 20 %; an hour more or less would be seen.
        assert second.at_s - first.at_s >= 0.8 * 2 * FIRST_WAIT_S
        assert second.body == first.body
