"""What an audit says of Odoo's usage, order lines and invoices."""

from decimal import Decimal
from typing import Any, cast

import pytest

from schemas.derived import Line, LineStatus, Version
from schemas.odoo_held import HeldUsage
from streams.audit.judging import Outcome, Where
from streams.audit.odoo import Age, judge_held, judge_line
from tests.unit.streams.test_audit import overage

WRITTEN, UNREAD = Age(is_written=True), Age(is_written=False)


def line(amount: str, source: int = 50, status: LineStatus = LineStatus.CREATED) -> Line:
    """What the sink said."""
    return Line(
        key="k",
        version=Version(1, source, 5),
        status=status,
        order_id=1,
        line_id=2,
        revision=1,
        amount=Decimal(amount),
        invoiced_amount=Decimal(0),
        currency="CAD",
    )


def order_line(shown: str, *invoiced: dict[str, str], amount: str = "0.10") -> dict[str, Any]:
    """A line of the order; its invoice lines as (type, state, amount)."""
    return {"id": 2, "revision": 1, "order": "S1", "amount": amount, "shown": shown, "invoices": list(invoiced)}


def held(source: int = 50, lines: tuple[dict[str, Any], ...] = (order_line("0.10"),), **fields: Any) -> HeldUsage:
    """What Odoo holds: 0.10 for 1000, billed on one line."""
    facts = {
        "key": "k",
        "version": [1, source, 5],
        "state": "open",
        "error": None,
        "total": "1000",
        "shows_total": True,
        "amount": "0.10",
        "booked": "0.10",
        "refunded": "0.00",
        "currency": "CAD",
        "lines": list(lines),
    }
    return cast("HeldUsage", facts | fields)


@pytest.mark.parametrize(
    ("found", "age", "outcome"),
    [
        (line("0.1"), WRITTEN, Outcome.EQUAL),
        (line("0.2"), WRITTEN, Outcome.DRIFT),
        (None, WRITTEN, Outcome.DRIFT),
        (None, UNREAD, Outcome.PENDING),
        (line("0.2", source=40), WRITTEN, Outcome.DRIFT),
        (line("0.2", source=40), UNREAD, Outcome.PENDING),
        (line("0.2", source=60), WRITTEN, Outcome.PENDING),
        (line("0", status=LineStatus.PARKED), WRITTEN, Outcome.PARKED),
    ],
)
def test_lines_are_judged_once_the_sink_has_written(found: Line | None, age: Age, outcome: Outcome) -> None:
    """Until the sink has committed past the record, nothing is missing."""
    assert judge_line(overage("0.1"), found, age).outcome is outcome


@pytest.mark.parametrize(
    ("found", "drift"),
    [
        (held(), set()),
        (held(total="999"), {Where.USAGE}),
        (held(amount="0.20"), {Where.USAGE}),
        (held(shows_total=False), {Where.USAGE}),
        (held(booked="0.20"), {Where.ORDER_LINES}),
        (held(lines=(order_line("0.30"),)), {Where.ORDER_LINES}),
        (None, {Where.USAGE}),
        (held(source=40, total="1"), {Where.USAGE}),
        # A credit note gave 0.10 back on a line of 0.20 whose usage fell: nothing is given back once more.
        (held(booked="0.20", refunded="0.20"), set()),
    ],
)
def test_usage_and_lines_must_agree_with_the_overage(found: HeldUsage | None, drift: set[Where]) -> None:
    """Each kind of difference is named where it is."""
    findings = list(judge_held(overage("0.1"), found, WRITTEN))
    assert {each.where for each in findings if each.outcome is Outcome.DRIFT} == drift


@pytest.mark.parametrize(
    ("invoiced", "outcome"),
    [
        ([{"type": "invoice", "state": "posted", "amount": "0.10"}], Outcome.EQUAL),
        ([{"type": "invoice", "state": "draft", "amount": "0.09"}], Outcome.DRIFT),
        (
            [
                {"type": "invoice", "state": "cancel", "amount": "0.10"},
                {"type": "invoice", "state": "posted", "amount": "0.10"},
                {"type": "credit_note", "state": "posted", "amount": "0.10"},
            ],
            Outcome.EQUAL,
        ),
    ],
)
def test_invoices_must_ask_for_what_the_line_says(invoiced: list[dict[str, str]], outcome: Outcome) -> None:
    """Cancelled invoices and credit notes aside."""
    findings = judge_held(overage("0.1"), held(lines=(order_line("0.10", *invoiced),)), WRITTEN)
    assert [each.outcome for each in findings if each.where is Where.INVOICES] == [outcome]


def test_what_waits_is_pending_and_what_odoo_refused_is_parked() -> None:
    """Neither is drift: the one comes by itself, the other waits for a person who has been told."""
    assert [each.outcome for each in judge_held(overage("0.1"), None, UNREAD)] == [Outcome.PENDING]
    refused = held(source=40, error="no such charge")
    assert [each.outcome for each in judge_held(overage("0.1"), refused, WRITTEN)] == [Outcome.PARKED]
