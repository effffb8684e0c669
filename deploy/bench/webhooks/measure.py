"""The three measurements; each verifies what it has measured."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.bench.common import kafka_io
from deploy.bench.common.waiting import wait_until
from deploy.bench.webhooks.scenario import PARTITIONS, Receivers, Scenario, Worker, event
from schemas.events import Delivery, DeliveryState
from schemas.identifiers import delivery_key
from schemas.partitioning import partition_of
from schemas.topics import DELIVERIES

_SETTLED = "fusion_webhook_deliveries_settled_total"
_PENDING = "fusion_webhook_deliveries_pending"
_PARTITIONS = "fusion_webhook_partitions"
_OVERDUE = 100
_LOOK_S = 0.25  # each look makes every worker write a page of metrics
_SUBSCRIPTIONS = 500
_HOSTILE = ("/hang", "/500", "/trickle")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it."""

    endpoints: int = 50
    workers: int = 2
    events: int = 1_000
    isolation_events: int = 100
    isolation_pairs: int = 5
    isolation_gap_s: float = 0.1
    retries: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """A figure, what of the work behind it was not as it must be, and what a person may want to know besides."""

    figure: float
    wrong: list[str]
    detail: dict[str, Any]


def speed(plan: Plan, scenario: Scenario, receivers: Receivers) -> Found:
    """Deliveries per second, from the first request to the last state written."""
    expected = plan.events * plan.endpoints
    events = [event(number, _SUBSCRIPTIONS) for number in range(plan.events)]
    scenario.publish_endpoints({n: receivers.url(f"/ok/{n}") for n in range(plan.endpoints)})
    with scenario.sink(plan.workers) as workers:
        warmed_up(scenario, receivers, plan, workers)
        receivers.report()
        before = settled(workers)
        used = Used(scenario, receivers, workers)
        began_s = time.monotonic()
        scenario.publish_events(events)
        wait_until(lambda: settled(workers) - before >= expected, 600, f"{expected} deliveries written down", _LOOK_S)
        took_s = time.monotonic() - began_s
        cpu_ms = used.cpu_ms_per(expected)
        rss_mib = max(worker.child.rss_mib(peak=True) for worker in workers)
    wrong = differences(receivers.report(), events_of(events, plan.endpoints)) + not_delivered(scenario, expected)
    return Found(expected / took_s, wrong, {"seconds": took_s, "cpu_ms": cpu_ms, "rss_mib": rss_mib})


class Used:
    """CPU that the parts use from now on: where the machine is shared, it says more than a rate does."""

    def __init__(self, scenario: Scenario, receivers: Receivers, workers: list[Worker]) -> None:
        self._parts = {
            "sink": [worker.child.cpu_s for worker in workers],
            "broker": [scenario.broker.cpu_s],
            "receivers": [receivers.child.cpu_s],
        }
        self._before = self._now()

    def cpu_ms_per(self, deliveries: int) -> dict[str, float]:
        """Milliseconds of CPU per delivery, by part."""
        return {part: round(1000 * (now - self._before[part]) / deliveries, 3) for part, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {part: sum(cpu_s() for cpu_s in measures) for part, measures in self._parts.items()}


def isolation(plan: Plan, scenario: Scenario, receivers: Receivers) -> Found:
    """P99 of the good endpoints beside a hanging, a failing and a trickling one, over their p99 without them.

    The median of pairs, each measured one right after the other: whatever else the machine does meets both alike.
    """
    hostile = {plan.endpoints + n: receivers.url(path) for n, path in enumerate(_HOSTILE)}
    scenario.publish_endpoints({n: receivers.url(f"/ok/{n}") for n in range(plan.endpoints)})
    alone_s: list[float] = []
    attacked_s: list[float] = []
    wrong: list[str] = []
    with scenario.sink(plan.workers) as workers:
        warmed_up(scenario, receivers, plan, workers)
        for turn in range(1, 2 * plan.isolation_pairs + 1):
            is_attack = turn % 2 == 0
            scenario.publish_endpoints(hostile, active=is_attack)
            p99_s, wrong_in_turn = latency(plan, scenario, receivers, turn)
            (attacked_s if is_attack else alone_s).append(p99_s)
            wrong += [f"turn {turn}: {each}" for each in wrong_in_turn]
    ratios = [attacked / alone for alone, attacked in zip(alone_s, attacked_s, strict=True)]
    detail = {"ratios": ratios, "p99_s": alone_s, "p99_s_under_attack": attacked_s}
    return Found(statistics.median(ratios), wrong, detail)


def latency(plan: Plan, scenario: Scenario, receivers: Receivers, turn: int) -> tuple[float, list[str]]:
    """P99 from an event's publication to its arrival at a good endpoint, and what did not come exactly once."""
    receivers.report()
    first = plan.events + turn * plan.isolation_events  # the receivers remember the order since `speed`
    events = [event(number, _SUBSCRIPTIONS) for number in range(first, first + plan.isolation_events)]
    handed_over = scenario.publish_events(events, plan.isolation_gap_s)
    wait_until(lambda: receivers.count() >= plan.isolation_events * plan.endpoints, 120, "the good ones have all")
    report = receivers.report()
    latencies = sorted(at_s - handed_over[event_id] for _, event_id, at_s in report["arrivals"])
    return latencies[int(len(latencies) * 0.99)], differences(report, events_of(events, plan.endpoints))


def rebuild(plan: Plan, scenario: Scenario, receivers: Receivers) -> Found:
    """Seconds from the start of one worker until it holds all retries and has sent those that were overdue."""
    receivers.report()
    scenario.publish_endpoints({n: receivers.url(f"/ok/{n}") for n in range(plan.endpoints)})
    write_retries(plan, scenario)
    began_s = time.monotonic()
    with scenario.sink(1) as (worker,):
        wait_until(
            lambda: worker.metric(_PENDING) == plan.retries and receivers.count() == _OVERDUE,
            900,
            f"{plan.retries} retries held and {_OVERDUE} overdue sent",
            _LOOK_S,
        )
        took_s = time.monotonic() - began_s
        rss_mib, cpu_s = worker.child.rss_mib(peak=True), worker.child.cpu_s()
    report = receivers.report()
    overdue = len(report["arrivals"])
    wrong = [] if overdue == _OVERDUE and not report["forged"] else [f"{overdue} came, {report['forged']} forged"]
    return Found(took_s, wrong, {"rss_mib": rss_mib, "cpu_s": cpu_s, "retries": plan.retries})


def write_retries(plan: Plan, scenario: Scenario) -> None:
    """Write waiting retries, each of a subscription of its own (the costliest case), and some overdue ones."""
    now = datetime.now(UTC)
    topic = scenario.topic(DELIVERIES)
    with kafka_io.publisher(scenario.broker.bootstrap, topic, linger_ms=50) as publisher:
        publisher.publish_all(
            _retry(number, plan, now, now if number < _OVERDUE else now + timedelta(hours=6))
            for number in range(plan.retries + _OVERDUE)
        )


def _retry(number: int, plan: Plan, now: datetime, due_at: datetime) -> kafka_io.Outgoing:
    one = event(number, plan.retries + _OVERDUE)
    endpoint = number % plan.endpoints
    delivery = Delivery(
        event_id=one.id,
        event_type=one.type,
        endpoint_id=endpoint,
        service=one.service,
        subscription=one.subscription,
        body=one.model_dump_json(),
        state=DeliveryState.PENDING,
        attempts=1,
        created_at=now,
        next_attempt_at=due_at,
        sequence=number,
        last_status=503,
    )
    return kafka_io.Outgoing(
        delivery.model_dump_json().encode(),
        delivery_key(one.id, endpoint).encode(),
        partition_of(str(endpoint), PARTITIONS),
    )


def warmed_up(scenario: Scenario, receivers: Receivers, plan: Plan, workers: list[Worker]) -> None:
    """Return once the workers have shared the partitions and every endpoint has answered on each of them."""
    wait_until(lambda: has_settled_down(workers), 60, "the workers share the partitions")
    events = [event(0, 1).model_copy(update={"id": f"warm-up-{n}", "subscription": f"warm-{n}"}) for n in range(20)]
    scenario.publish_events(events)
    wait_until(lambda: receivers.count() >= len(events) * plan.endpoints, 60, "the sink delivers")
    wait_until(lambda: settled(workers) >= len(events) * plan.endpoints, 60, "it has written that down")


def has_settled_down(workers: list[Worker]) -> bool:
    """Tell whether every partition has one worker, and no worker more than its share."""
    shares = [int(worker.metric(_PARTITIONS)) for worker in workers]
    return sum(shares) == PARTITIONS and max(shares) - min(shares) <= 1


def settled(workers: list[Worker]) -> int:
    """Deliveries whose end was written down."""
    return int(sum(worker.metric(_SETTLED, "delivered") for worker in workers))


def events_of(events: list[Any], endpoints: int) -> Counter[tuple[str, str]]:
    """What the receivers must have got."""
    return Counter((f"/ok/{n}", one.id) for one in events for n in range(endpoints))


def differences(report: dict[str, Any], expected: Counter[tuple[str, str]]) -> list[str]:
    """Return what did not come exactly once, rightly signed and in order."""
    came = Counter((path, event_id) for path, event_id, _ in report["arrivals"])
    found = {
        "missing": (expected - came).total(),
        "repeated or unexpected": (came - expected).total(),
        "forged": report["forged"],
        "out of order": report["disordered"],
    }
    return [f"{count} {what}" for what, count in found.items() if count]


def not_delivered(scenario: Scenario, expected: int) -> list[str]:
    """Return what the topic's last word on each delivery is, unless it is `delivered` for all."""
    last: dict[bytes, bytes | None] = {}
    with kafka_io.follower(scenario.broker.bootstrap, [scenario.topic(DELIVERIES)], {}) as follower:
        for record in follower.drain():
            if not record.key.startswith((b"warm-up", b":")):
                last[record.key] = record.value
    states = Counter(Delivery.model_validate_json(value or b"").state for value in last.values())
    return [] if states == {DeliveryState.DELIVERED: expected} else [f"{states} on the topic, {expected} expected"]
