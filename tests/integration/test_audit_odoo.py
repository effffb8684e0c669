"""`fusion-billing audit` and `trace` beside every role and a real Odoo: from a counter's key to the order line."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from tests.stack.pipeline import Pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.odoo, pytest.mark.timeout(240)]

WITHIN_S = 60.0


def command(pipeline: Pipeline, *words: str) -> tuple[int, Any]:
    """Run a command with --json; its exit code and what it printed."""
    env = pipeline.odoo.variables() | {"FUSION_KAFKA_BOOTSTRAP": pipeline.broker.bootstrap}
    result = CliRunner().invoke(app, [*words, "--json"], env=env, catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout)


def subscribe_and_use(pipeline: Pipeline, quantity: str, amount: str, **terms: Any) -> str:
    """A subscription with one counter, and its line in Odoo."""
    subscription = pipeline.subscribe(**terms)
    pipeline.use(subscription, quantity)
    wait_until(lambda: pipeline.lines(subscription) == [Decimal(amount)], WITHIN_S, f"the line of {amount}")
    return subscription


def test_audit_is_silent_on_health_and_names_a_line_that_a_person_changed(pipeline: Pipeline) -> None:
    """Totals, overage, lines.v1, usage and order lines agree; another price on one line is drift until undone."""
    subscription = subscribe_and_use(pipeline, "1500", "0.20")
    subscribe_and_use(pipeline, "6000000", "100.00", included_quota=5_000_000)
    code, found = command(pipeline, "audit")
    assert (code, found["drift"], found["parked"]) == (0, 0, 0), found
    for source in ("totals.v1", "overage.v1", "lines.v1", "odoo usage"):
        assert found["by_source"][source]["equal"] >= 2, (source, found)

    where = [["order_id.x_fc_external_id", "=", subscription], ["x_fc_overage_key", "!=", False]]
    [line] = pipeline.odoo.call("sale.order.line", "search", where)
    pipeline.odoo.call("sale.order.line", "write", [line], {"price_unit": 9.99})
    code, found = command(pipeline, "audit")
    assert code == 3
    [drift] = [each for each in found["findings"] if each["outcome"] == "drift"]
    assert (drift["where"], drift["expected"], drift["found"]) == ("odoo order lines", "0.2", "9.99")
    assert f"/{subscription}/" in drift["key"]
    pipeline.odoo.call("sale.order.line", "write", [line], {"price_unit": 0.20})
    code, found = command(pipeline, "audit")
    assert (code, found["drift"]) == (0, 0), found


def test_trace_leads_from_a_key_to_its_invoice_and_back_from_the_line(pipeline: Pipeline) -> None:
    """Forward by the idempotency key, backward by the id of the order line: the same counters, line and invoice."""
    subscription = subscribe_and_use(pipeline, "1500", "0.20")
    [order] = pipeline.odoo.call("sale.order", "search", [["x_fc_external_id", "=", subscription]])
    terms = {"advance_payment_method": "delivered", "sale_order_ids": [[6, 0, [order]]]}
    wizard = pipeline.odoo.call("sale.advance.payment.inv", "create", terms)
    pipeline.odoo.call("sale.advance.payment.inv", "create_invoices", [wizard])
    code, [found] = command(pipeline, "trace", "k1", "--service", "maps", "--subscription", subscription)
    assert code == 0
    [known] = found["counters"]
    assert [each["fate"] for each in known["values"]] == ["counted"]
    [overage] = known["overages"]
    assert (overage["amount"], overage["line"]["amount"]) == ("0.2", "0.2")
    [line] = overage["odoo"]["lines"]
    assert (line["id"], line["shown"]) == (overage["line"]["line_id"], "0.20")
    assert [(each["type"], each["state"], each["amount"]) for each in line["invoices"]] == [
        ("invoice", "draft", "0.20")
    ]

    code, [back] = command(pipeline, "trace", "--line", str(line["id"]))
    assert (code, back["key"], back["equal"]) == (0, overage["key"], True)
    assert [(each["key"], each["quantity"]) for each in back["counters"]] == [("k1", "1500")]
