"""The webhook sink's process with a faulty network on both of its sides: to its receiver and to Kafka (F26)."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from deploy.local.ports import HOST
from schemas.events import DeliveryState
from schemas.topics import TOPICS
from tests.hostile.proxy import Mode, Proxy, proxy_to
from tests.hostile.server import Hostile, hostile
from tests.integration.sinks_harness import SECRET_KEY, Pipeline, endpoint, event, process, stop_politely
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stack.kafka import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

SUBSCRIPTIONS = ("sub-0", "sub-1", "sub-2")
# Longer than an attempt may take, so that attempts really fail of it.
FAULT_S, TIMEOUT_S = 1.5, 1.0
FAULTS = [mode for mode in Mode if mode is not Mode.PASS]


def test_every_event_arrives_once_the_network_is_well_again(proxied: tuple[Broker, Proxy]) -> None:
    """F26: slow, reset, black hole, one-way to either side, a black hole on both; same id, same bytes, in order.

    What came in under a fault arrives soon after that fault's end, not only at the end of all.
    """
    seed = random.randrange(1 << 32)
    broker, to_kafka = proxied
    for topic in TOPICS:
        broker.create_topic(f"k.{topic.name}", topic.partitions or 2)
    variables = {
        "FUSION_TOPIC_PREFIX": "k.",
        "FUSION_SECRET_KEY": SECRET_KEY,
        "FUSION_WEBHOOK_ALLOW_PRIVATE": "true",
        "FUSION_WEBHOOK_FIRST_WAIT_S": "0.1",
        "FUSION_WEBHOOK_TIMEOUT_S": str(TIMEOUT_S),
        "FUSION_WEBHOOK_RATE_PER_S": "1000",
    }
    direct = Pipeline(variables | {"FUSION_KAFKA_BOOTSTRAP": broker.bootstrap})
    behind = variables | {"FUSION_KAFKA_BOOTSTRAP": f"{HOST}:{to_kafka.port}"}
    sent: dict[str, list[str]] = defaultdict(list)

    def publish() -> None:
        """One event of each subscription, past the proxies."""
        for subscription in SUBSCRIPTIONS:
            sent[subscription].append(f"{subscription}.{len(sent[subscription])}")
        direct.publish_events(*(event(names[-1], subscription) for subscription, names in sent.items()))

    with hostile() as server, proxy_to(server.port) as to_receiver:
        direct.publish_endpoint(endpoint(1, f"http://{HOST}:{to_receiver.port}/hook"))
        with process("webhook-sink", behind) as child:
            publish()
            wait_until(lambda: _has_come(server, sent), 60, f"it delivers (seed {seed})")
            for mode, proxies in _schedule(seed, to_kafka, to_receiver):
                _suffer(mode, proxies, publish, seed)
                where = f"every event has arrived after {mode.value} (seed {seed})"
                wait_until(lambda: _has_come(server, sent), 60, where)
            wait_until(lambda: _is_written_down(direct, sent), 90, f"all are delivered (seed {seed})")
            assert stop_politely(child) == 0, seed
    _check(server, sent, seed)


def _schedule(seed: int, to_kafka: Proxy, to_receiver: Proxy) -> list[tuple[Mode, list[Proxy]]]:
    """Each fault on each side in the seed's order, and at last a black hole on both."""
    steps = [(mode, [proxy]) for mode in FAULTS for proxy in (to_kafka, to_receiver)]
    random.Random(seed).shuffle(steps)
    return [*steps, (Mode.BLACK_HOLE, [to_kafka, to_receiver])]


def _suffer(mode: Mode, proxies: list[Proxy], publish: Callable[[], None], seed: int) -> None:
    """Have events come in under a fault that lasts and that something has run into."""
    met = [proxy.met[mode] for proxy in proxies]
    for proxy in proxies:
        proxy.switch(mode)
    publish()
    threading.Event().wait(FAULT_S)  # the fault itself
    # Behind a black hole to Kafka no event reaches the sink, so that nothing need go to the receiver.
    wait_until(lambda: proxies[0].met[mode] > met[0], 60, f"{mode.value} is met (seed {seed})")
    for proxy in proxies:
        proxy.switch(Mode.PASS)


def _has_come(server: Hostile, sent: dict[str, list[str]]) -> bool:
    came = {one.headers["webhook-id"] for one in server.on("/hook")}
    left = [name for names in sent.values() for name in names if name not in came]
    assert left == [], left
    return True


def _is_written_down(own: Pipeline, sent: dict[str, list[str]]) -> bool:
    states = {name: one.state for name, one in own.deliveries().items()}
    left = {name: states.get(name) for names in sent.values() for name in names}
    left = {name: state for name, state in left.items() if state is not DeliveryState.DELIVERED}
    assert left == {}, left
    return True


def _check(server: Hostile, sent: dict[str, list[str]], seed: int) -> None:
    """Each event came with the same bytes whenever it came, and first came in the order of its subscription."""
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for one in server.on("/hook"):
        bodies[one.headers["webhook-id"]].add(one.body)
    assert {len(found) for found in bodies.values()} == {1}, seed
    assert bodies.keys() == {name for names in sent.values() for name in names}, seed
    for names in sent.values():
        assert [name for name in bodies if name in set(names)] == names, seed
