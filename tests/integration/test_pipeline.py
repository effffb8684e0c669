"""The main job with every role at work: counters in over HTTP, order lines in Odoo out, through every outage."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from kafka import KafkaProducer

from tests.stack.pipeline import METRIC, Pipeline
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.odoo, pytest.mark.timeout(240)]

DEADLINE_S = 60.0

VECTORS = [
    ("6000000", {"included_quota": 5_000_000}, "100.00"),
    ("1500", {}, "0.20"),
    ("2001", {"charge_model": "package", "price_per_unit": 2.00}, "6.00"),
    ("1100", {"included_quota": 100}, "0.10"),
]


def _wait_for_line(pipeline: Pipeline, subscription: str, amount: str) -> None:
    def has_line() -> bool:
        assert pipeline.lines(subscription) == [Decimal(amount)]
        return True

    wait_until(has_line, DEADLINE_S, f"the line of {amount} for {subscription}")


@pytest.mark.parametrize(("quantity", "terms", "amount"), VECTORS)
def test_usage_becomes_a_line_of_the_rated_amount(
    pipeline: Pipeline, quantity: str, terms: dict[str, Any], amount: str
) -> None:
    """The rating vectors hold from the HTTP request to the order line in Odoo."""
    subscription = pipeline.subscribe(**terms)
    assert pipeline.use(subscription, quantity).status_code == httpx.codes.ACCEPTED
    _wait_for_line(pipeline, subscription, amount)


def test_usage_below_the_quota_makes_no_line(pipeline: Pipeline) -> None:
    """Finance and the app see the total, the customer no line."""
    subscription = pipeline.subscribe(included_quota=5_000_000)
    pipeline.use(subscription, "4000000")
    wait_until(lambda: pipeline.usage(subscription) == [4_000_000], DEADLINE_S, "the total in Odoo")
    assert pipeline.lines(subscription) == []

    def seen_by_the_app() -> list[str]:
        usage = pipeline.get(f"subscriptions/{subscription}/usage").json()["usage"]
        return [counted["quantity"] for counted in usage]

    wait_until(lambda: seen_by_the_app() == ["4000000"], DEADLINE_S, "the total at the gateway")


def test_same_counter_again_changes_nothing_and_a_new_quantity_changes_the_line(pipeline: Pipeline) -> None:
    """A repeat publishes no new value for its key; the same key with another quantity replaces the first."""
    subscription = pipeline.subscribe()
    pipeline.use(subscription, "1500")
    _wait_for_line(pipeline, subscription, "0.20")
    before = _overages(pipeline, subscription)

    pipeline.use(subscription, "1500")
    # Behind the repeat on its partition: once this one is counted, the repeat has been dealt with.
    pipeline.use(subscription, "0", key="k2")
    pipeline.use(subscription, "1500", key="k1")
    pipeline.use(subscription, "2500", key="k3")
    _wait_for_line(pipeline, subscription, "0.40")
    totals = [Decimal(overage["total"]) for overage in _overages(pipeline, subscription)[len(before) :]]
    assert totals[-1] == 4000
    assert set(totals) <= {Decimal(1500), Decimal(4000)}

    pipeline.use(subscription, "500")
    _wait_for_line(pipeline, subscription, "0.30")
    assert pipeline.usage(subscription) == [3000]


def test_garbage_on_the_topic_is_set_aside_and_the_stream_goes_on(pipeline: Pipeline) -> None:
    """Bytes that are no usage batch end in rejected.v1; counters behind them on the same partition are counted."""
    subscription = pipeline.subscribe()
    garbage = b"\xff not a batch " + subscription.encode()
    producer = KafkaProducer(bootstrap_servers=pipeline.broker.bootstrap, acks="all")
    for partition in (0, 1):
        producer.send("billing.usage.v1", garbage, partition=partition).get(timeout=10)
    producer.close()
    pipeline.use(subscription, "1500")
    _wait_for_line(pipeline, subscription, "0.20")
    rejected = [json.loads(value or b"") for _, value in pipeline.records("rejected.v1")]
    mine = [record for record in rejected if record["reason"] == "malformed_batch"]
    assert {record["partition"] for record in mine} == {0, 1}


def test_a_bad_event_keeps_its_whole_request_out(pipeline: Pipeline) -> None:
    """One bad event: 400 with its index and field, and the good one beside it is not counted."""
    subscription = pipeline.subscribe()
    good = {
        "subscription_external_id": subscription,
        "metric_code": METRIC,
        "quantity": "9000",
        "period_start": "2026-07-05T00:00:00Z",
        "period_end": "2026-07-05T01:00:00Z",
        "idempotency_key": "good",
        "colour": "unknown fields are ignored",
    }
    answer = pipeline.post("usage", {"events": [good, good | {"quantity": "many", "idempotency_key": "bad"}]})
    assert answer.status_code == httpx.codes.BAD_REQUEST
    [detail] = answer.json()["error"]["details"]
    assert (detail["index"], detail["field"]) == (1, "quantity")
    pipeline.use(subscription, "1500")
    _wait_for_line(pipeline, subscription, "0.20")
    assert pipeline.post("usage", b"{no json").status_code == httpx.codes.BAD_REQUEST
    assert pipeline.post("usage", {"events": [good]}, key="wrong").status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.faults
def test_odoo_away_counters_are_accepted_and_lines_follow(pipeline: Pipeline) -> None:
    """With Odoo killed the gateway takes counters as ever; the line appears when Odoo is back."""
    subscription = pipeline.subscribe()
    pipeline.use(subscription, "500", key="before")
    _wait_for_line(pipeline, subscription, "0.10")
    pipeline.odoo.kill()
    try:
        assert pipeline.use(subscription, "1500", key="meanwhile").status_code == httpx.codes.ACCEPTED
        wait_until(
            lambda: Decimal(_overages(pipeline, subscription)[-1]["amount"]) == Decimal("0.20"),
            DEADLINE_S,
            "the meter to rate without Odoo",
        )
    finally:
        pipeline.odoo.start()
    _wait_for_line(pipeline, subscription, "0.20")


@pytest.mark.faults
def test_kafka_away_is_said_at_once_and_everything_resumes(pipeline: Pipeline) -> None:
    """With the broker killed the gateway answers 503 with Retry-After; back, all roles go on without a restart."""
    subscription = pipeline.subscribe()
    pids = {role: pipeline.roles.processes.pid(role) for role in ("gateway", "meter", "odoo-sink")}
    pipeline.broker.kill()
    try:
        refused = pipeline.use(subscription, "1500")
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert int(refused.headers["Retry-After"]) >= 1
    finally:
        pipeline.broker.start()
    wait_until(
        lambda: pipeline.use(subscription, "1500").status_code == httpx.codes.ACCEPTED,
        DEADLINE_S,
        "the gateway to accept again",
    )
    _wait_for_line(pipeline, subscription, "0.20")
    assert {role: pipeline.roles.processes.pid(role) for role in pids} == pids


def _overages(pipeline: Pipeline, subscription: str) -> list[dict[str, Any]]:
    """Return every overage record ever published for a subscription, oldest first."""
    records = [json.loads(value) for _, value in pipeline.records("overage.v1") if value]
    return [record for record in records if record["subscription"] == subscription]
