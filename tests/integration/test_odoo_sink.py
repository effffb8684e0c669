"""The Odoo sink on a real broker and a real Odoo with our addon."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from deploy.adapters.odoo import OdooRpcTransport
from schemas.derived import Line, LineStatus
from schemas.events import DeliveryState
from sinks.health import Health
from sinks.odoo import role
from sinks.odoo.parked import parked_lines, retry
from tests.integration.odoo_harness import PERIOD_START, OdooBooks, make_books
from tests.integration.sinks_harness import Pipeline, make_pipeline, running
from tests.stack.kafka import TopicMaker
from tests.stack.odoo import OdooServer
from tests.stack.waiting import wait_until
from tests.unit.sinks.webhooks.deliveries import delivery

pytestmark = [pytest.mark.kafka, pytest.mark.odoo]


@pytest.fixture
def books(odoo: OdooServer) -> OdooBooks:
    """Return a service of this test's own with three subscriptions."""
    return make_books(odoo, 3)


@pytest.fixture
def pipeline(kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker, odoo: OdooServer) -> Pipeline:
    """Return fresh topics and the way to this Odoo."""
    return make_pipeline(kafka_bootstrap, topic_prefix, topics, **odoo.variables())


def sinking(pipeline: Pipeline) -> AbstractContextManager[Health]:
    """Run one sink."""

    def work(stop: threading.Event, health: Health) -> None:
        role.run(pipeline.settings, OdooRpcTransport, stop, health)

    return running(work)


@pytest.fixture
def sink(pipeline: Pipeline) -> Iterator[Health]:
    """Run one sink for the test."""
    with sinking(pipeline) as health:
        yield health


def lines_of(pipeline: Pipeline, subscription: str, count: int = 1) -> list[Line]:
    """Return the subscription's records of lines.v1 once there are so many."""

    def enough() -> list[Line]:
        found = [line for line in pipeline.lines() if f"/{subscription}/" in line.key]
        assert len(found) >= count, found
        return found

    return wait_until(enough, 30, f"{count} records for {subscription} on lines.v1")


@pytest.mark.usefixtures("sink")
def test_an_overage_becomes_one_line_on_the_order(pipeline: Pipeline, books: OdooBooks) -> None:
    """Amount, quantity 1 and the arithmetic in Odoo; the ids and the version on lines.v1."""
    pipeline.publish_overage(books.record("sub-0", "100"))
    [line] = lines_of(pipeline, "sub-0")
    assert (line.status, str(line.amount), line.currency) == (LineStatus.CREATED, "100", books.currency)
    assert tuple(line.version) == (1, 1, 0)
    [held] = books.lines("sub-0")
    assert (held["id"], held["price_subtotal"], held["product_uom_qty"]) == (line.line_id, 100.0, 1.0)
    assert line.key == books.overage("sub-0", "100").key


@pytest.mark.usefixtures("sink")
def test_the_same_overage_again_changes_nothing(pipeline: Pipeline, books: OdooBooks) -> None:
    """One line, whoever sends it however often; lines.v1 hears of the newer version, but nothing of the same one."""
    pipeline.publish_overage(books.record("sub-0", "100"))
    lines_of(pipeline, "sub-0")
    pipeline.publish_overage(books.record("sub-0", "100"), books.record("sub-0", "100", offset=7))
    lines = lines_of(pipeline, "sub-0", 2)
    assert [(line.status, line.version.source_offset) for line in lines] == [
        (LineStatus.CREATED, 1),
        (LineStatus.UNCHANGED, 7),
    ]
    # Odoo knows the newer version, so that another sink's older row changes nothing.
    [usage] = books.odoo.call("fusion.billing.usage", "search_read", [["key", "=", lines[0].key]], ["version"])
    assert usage["version"] == "1.7.0"
    assert books.amounts("sub-0") == [100.0]


@pytest.mark.usefixtures("sink")
def test_a_line_that_a_person_changed_is_noticed_by_the_next_version(pipeline: Pipeline, books: OdooBooks) -> None:
    """The sink says in short that nothing is new; Odoo looks at its line all the same."""
    pipeline.publish_overage(books.record("sub-0", "100"))
    [line] = lines_of(pipeline, "sub-0")
    books.odoo.call("sale.order.line", "write", [line.line_id], {"price_unit": 90})
    pipeline.publish_overage(books.record("sub-0", "100", offset=2))
    parked = lines_of(pipeline, "sub-0", 2)[-1]
    assert parked.status is LineStatus.PARKED
    assert "changed by hand from 100.00 to 90.00" in (parked.error or "")
    assert books.amounts("sub-0") == [90.0]


@pytest.mark.usefixtures("sink")
def test_a_new_amount_updates_the_line_and_an_older_version_does_not(pipeline: Pipeline, books: OdooBooks) -> None:
    """The last rating counts, in whatever order the records come."""
    pipeline.publish_overage(books.record("sub-0", "100", offset=5))
    lines_of(pipeline, "sub-0")
    pipeline.publish_overage(books.record("sub-0", "40.5", offset=6))
    assert lines_of(pipeline, "sub-0", 2)[-1].status is LineStatus.UPDATED
    pipeline.publish_overage(books.record("sub-0", "999", offset=4), books.record("sub-1", "1"))
    lines_of(pipeline, "sub-1")
    pipeline.publish_overage(books.record("sub-0", "41", offset=7))
    books.wait_for_line("sub-0", 41.0)
    assert {str(line.amount) for line in lines_of(pipeline, "sub-0")} == {"100", "40.5", "41"}


@pytest.mark.usefixtures("sink")
def test_below_quota_there_is_no_line(pipeline: Pipeline, books: OdooBooks) -> None:
    """Amount 0 is told as nothing."""
    pipeline.publish_overage(books.record("sub-0", "0"))
    assert lines_of(pipeline, "sub-0")[0].status is LineStatus.NOTHING
    assert books.lines("sub-0") == []


@pytest.mark.usefixtures("sink")
def test_a_poisoned_row_is_parked_and_its_neighbours_are_written(pipeline: Pipeline, books: OdooBooks) -> None:
    """An order Odoo does not know, and garbage, among good rows."""
    pipeline.publish_overage(
        books.record("sub-0", "10"),
        books.record("nobody", "20"),
        (f"{books.service}/garbled/x/2026-07-01T00:00:00Z", b"{garbage"),
        ("\x00", b""),
        books.record("sub-1", "30"),
    )
    for subscription in ("nobody", "garbled"):
        [parked] = lines_of(pipeline, subscription)
        assert parked.status is LineStatus.PARKED
        assert parked.error
    lines_of(pipeline, "sub-0")
    lines_of(pipeline, "sub-1")
    assert (books.amounts("sub-0"), books.amounts("sub-1")) == ([10.0], [30.0])


@pytest.mark.usefixtures("sink")
def test_bad_rows_are_parked_each_with_its_reason_beside_good_ones(
    pipeline: Pipeline, books: OdooBooks, odoo: OdooServer
) -> None:
    """Refused by Odoo or by the sink before it; the reason is on lines.v1, the good rows are on their orders."""
    other = make_books(odoo, 1)

    def bad(name: str, **changes: Any) -> tuple[str, bytes]:
        overage = books.overage(name, "10").model_copy(update=changes)
        return overage.key, overage.model_dump_json().encode()

    endless = "x" * 100_000
    pipeline.publish_overage(
        books.record("sub-0", "10"),
        bad("nobody"),
        bad("sub-1", charge=other.charge),
        bad("sub-1", currency="EUR"),
        bad("sub-1", period_start=PERIOD_START - timedelta(days=30), amount=Decimal("10.001")),
        bad("sub-1", period_start=PERIOD_START - timedelta(days=60), amount=Decimal(10) ** 15),
        bad("sub-1", subscription=endless),
        books.record("sub-2", "30"),
    )

    def parked() -> set[str]:
        found = {line.error or "" for line in pipeline.lines() if line.status is LineStatus.PARKED}
        assert len(found) == 6, found
        return found

    reasons = wait_until(parked, 60, "six rows are parked")
    for word in ("no subscription nobody", "another service", "in EUR", "more decimals", "amount must lie", "255"):
        assert [reason for reason in reasons if word in reason], (word, reasons)
    books.wait_for_line("sub-0", 10.0)
    books.wait_for_line("sub-2", 30.0)
    assert books.lines("sub-1") == []


def test_a_parked_row_is_written_when_its_reason_is_mended_and_a_person_says_so(
    pipeline: Pipeline, books: OdooBooks, odoo: OdooServer
) -> None:
    """`parked retry`: refused with the same words before, written after; what was not asked for stays parked."""
    [charge] = odoo.call("fusion.billing.charge", "search_read", [["code", "=", books.charge]], ["product_id"])
    product = charge["product_id"][0]
    odoo.call("product.product", "write", [product], {"active": False})
    with sinking(pipeline):
        pipeline.publish_overage(books.record("sub-0", "10"), books.record("sub-1", "20"), books.record("nobody", "5"))
        wait_until(lambda: len(parked_lines(pipeline.settings)) == 3, 30, "three rows are parked")
    keys = {name: books.overage(name, "10").key for name in ("sub-0", "sub-1", "nobody")}
    assert "archived" in (parked_lines(pipeline.settings)[keys["sub-0"]].error or "")
    assert retry(pipeline.settings, OdooRpcTransport, [keys["sub-0"]]).keys() == {keys["sub-0"]}
    odoo.call("product.product", "write", [product], {"active": True})
    assert retry(pipeline.settings, OdooRpcTransport, [keys["sub-0"]]) == {}
    assert (books.amounts("sub-0"), books.amounts("sub-1")) == ([10.0], [])
    assert parked_lines(pipeline.settings).keys() == {keys["sub-1"], keys["nobody"]}


def test_what_a_stopped_sink_has_written_is_not_written_again(pipeline: Pipeline, books: OdooBooks) -> None:
    """It commits before it leaves; the next one goes on behind it, with records that came meanwhile."""
    with sinking(pipeline):
        pipeline.publish_overage(books.record("sub-0", "10"))
        lines_of(pipeline, "sub-0")
    pipeline.publish_overage(books.record("sub-1", "20"))
    with sinking(pipeline):
        lines_of(pipeline, "sub-1")
    assert len(lines_of(pipeline, "sub-0")) == 1


def test_two_sinks_share_the_work_and_one_takes_over(pipeline: Pipeline, books: OdooBooks) -> None:
    """A rebalance in the middle loses nothing and doubles nothing."""
    with sinking(pipeline):
        pipeline.publish_overage(*(books.record(f"sub-{number}", "1", offset=1) for number in range(3)))
        with sinking(pipeline):
            for offset in range(2, 12):
                pipeline.publish_overage(*(books.record(f"sub-{number}", str(offset), offset) for number in range(3)))
        for number in range(3):
            pipeline.publish_overage(books.record(f"sub-{number}", "99", offset=99))
        for number in range(3):
            books.wait_for_line(f"sub-{number}", 99.0)


@pytest.mark.usefixtures("sink")
def test_webhook_deliveries_are_shown_in_odoo(pipeline: Pipeline, books: OdooBooks, odoo: OdooServer) -> None:
    """Their newest state, with the last answer; a delivery of an unknown service hides no other."""
    shown = delivery("shown").model_copy(update={"service": books.service})
    failed = shown.model_copy(update={"attempts": 1, "last_status": 503})
    for state in (delivery("strange"), shown, failed):
        pipeline.publish_delivery(state)

    def rows() -> list[dict[str, object]]:
        domain = [("event_id", "in", ["shown", "strange"])]
        fields = ["event_id", "state", "attempts", "last_error"]
        found: list[dict[str, object]] = odoo.call("fusion.billing.webhook", "search_read", domain, fields)
        assert any(row["attempts"] == 1 for row in found), found
        return found

    (row,) = wait_until(rows, 30, "the delivery is shown")
    assert (row["event_id"], row["state"], row["last_error"]) == ("shown", "pending", "the app answered 503")


@pytest.mark.usefixtures("sink")
def test_a_replay_asked_for_in_odoo_reaches_the_deliveries(
    pipeline: Pipeline, books: OdooBooks, odoo: OdooServer
) -> None:
    """The button gives a dead delivery a new life on the topic; one that is not kept any more says so."""
    dead = delivery("again").model_copy(update={"service": books.service, "state": DeliveryState.DEAD, "attempts": 8})
    pipeline.publish_delivery(dead)

    def shown(event_id: str) -> dict[str, Any]:
        fields = ["state", "attempts", "last_error", "replay_requested_at"]
        rows = odoo.call("fusion.billing.webhook", "search_read", [["event_id", "=", event_id]], fields)
        assert len(rows) == 1, rows
        return dict(rows[0])

    row = wait_until(lambda: shown("again"), 30, "the delivery is shown")
    [service] = odoo.call("fusion.billing.service", "search", [["code", "=", books.service]])
    lost = {"service_id": service, "event_id": "lost", "endpoint": 1, "event_type": "x", "payload": "{}"}
    lost_id = odoo.call("fusion.billing.webhook", "create", lost)
    odoo.call("fusion.billing.webhook", "action_replay", [row["id"], lost_id])

    def begins_anew() -> bool:
        state = pipeline.deliveries()["again"]
        assert (state.state, state.attempts) == (DeliveryState.PENDING, 0), state
        assert (state.body, state.created_at > dead.created_at) == (dead.body, True)
        now = shown("again")
        assert (now["state"], now["attempts"], now["replay_requested_at"]) == ("pending", 0, False), now
        return True

    assert wait_until(begins_anew, 60, "the new life of the delivery")
    assert "not kept any more" in wait_until(lambda: shown("lost")["last_error"], 30, "the reason")
