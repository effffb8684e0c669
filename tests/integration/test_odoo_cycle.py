"""Three billing periods from `overage.v1` through the real sink to Odoo's invoices, and what an app sees of them."""

from __future__ import annotations

import gc
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from deploy.adapters.odoo import OdooRpcTransport
from producers.gateway.catalog import CatalogView
from schemas.catalog import Service, catalog_key
from schemas.derived import Line, LineStatus
from sinks.odoo import role
from tests.integration.gateway_harness import client_of_gateway
from tests.integration.odoo_harness import OdooBooks, make_books
from tests.integration.sinks_harness import Pipeline, make_pipeline, running
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncIterator, Iterator

    import httpx

    from sinks.health import Health
    from tests.stack.kafka import TopicMaker
    from tests.stack.odoo import OdooServer

pytestmark = [pytest.mark.kafka, pytest.mark.odoo]

KEY = "fus_test_cycle_0123456789abcdef"
JULY, AUGUST, SEPTEMBER, OCTOBER, NOVEMBER = (datetime(2026, month, 1, tzinfo=UTC) for month in range(7, 12))
NEXT = {JULY: AUGUST, AUGUST: SEPTEMBER, SEPTEMBER: OCTOBER, OCTOBER: NOVEMBER}


@dataclass
class Cycle:
    """One subscription, billed again and again."""

    books: OdooBooks
    pipeline: Pipeline
    turn: int = 0

    def rate(self, period: datetime, amount: str) -> Line:
        """Let the meter say what the period comes to now; return what the sink says Odoo did."""
        self.turn += 1
        turn = self.turn
        period_facts = {"period_start": period, "period_end": NEXT[period]}
        overage = self.books.overage("sub-0", amount, turn).model_copy(update=period_facts)
        self.pipeline.publish_overage((overage.key, overage.model_dump_json().encode()))
        told = wait_until(
            lambda: [line for line in self.pipeline.lines() if line.version.source_offset == turn],
            60,
            f"an answer to turn {turn}",
        )
        return told[0]

    def invoice(self) -> tuple[str, str] | None:
        """Invoice the next period as the nightly job does; return its amounts before tax and in full."""
        odoo = self.books.odoo
        [order] = odoo.call(
            "sale.order",
            "search",
            [["x_fc_external_id", "=", "sub-0"], ["x_fc_service_id.code", "=", self.books.service]],
        )
        made = odoo.call("sale.order", "action_invoice_subscription", [order])
        return amounts_of(odoo, made[0]) if made else None

    def invoice_order(self, order: int) -> tuple[str, str]:
        """Invoice a plain order, as a person does with Odoo's own button."""
        odoo = self.books.odoo
        context = {"active_model": "sale.order", "active_ids": [order]}
        values = {"advance_payment_method": "delivered", "sale_order_ids": [[6, 0, [order]]]}
        wizard = odoo.call("sale.advance.payment.inv", "create", values, context=context)
        odoo.call("sale.advance.payment.inv", "create_invoices", [wizard], context=context)
        [found] = odoo.call("sale.order", "read", [order], ["invoice_ids"])
        [invoice] = found["invoice_ids"]
        odoo.call("account.move", "action_post", [invoice])
        return amounts_of(odoo, invoice)


def amounts_of(odoo: OdooServer, invoice: int) -> tuple[str, str]:
    """Amounts of an invoice before tax and in full."""
    [found] = odoo.call("account.move", "read", [invoice], ["amount_untaxed", "amount_total"])
    return f"{found['amount_untaxed']:.2f}", f"{found['amount_total']:.2f}"


@pytest.fixture
def cycle(kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker, odoo: OdooServer) -> Iterator[Cycle]:
    """A subscription of a new service, and a sink at work."""
    books = make_books(odoo, 1)
    pipeline = make_pipeline(kafka_bootstrap, topic_prefix, topics, **odoo.variables())

    def work(stop: threading.Event, health: Health) -> None:
        role.run(pipeline.settings, OdooRpcTransport, stop, health)

    with running(work):
        yield Cycle(books, pipeline)
    gc.collect()


@pytest.fixture
async def app(cycle: Cycle) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway over the real Odoo, with the service's key."""
    catalog = CatalogView()
    service = Service(id=1, code=cycle.books.service, name="Maps", api_key_hashes=(hashed(KEY),))
    catalog.apply(catalog_key(service), service.model_dump_json().encode())
    async with client_of_gateway(cycle.pipeline.settings, catalog, KEY) as client:
        yield client


def hashed(key: str) -> str:
    """Return the digest under which a key is known."""
    return hashlib.sha256(key.encode()).hexdigest()


async def test_three_periods_bill_each_cent_once(cycle: Cycle, app: httpx.AsyncClient) -> None:
    """Late counter, correction down, credit note, end in mid-period; HST of 13 % on each invoice."""
    assert cycle.rate(JULY, "100").status is LineStatus.CREATED
    assert cycle.invoice() == ("100.00", "113.00")

    late = cycle.rate(JULY, "140")
    assert (late.status, late.revision, late.invoiced_amount) == (LineStatus.CREATED, 2, Decimal(100))
    cycle.rate(AUGUST, "50")
    assert cycle.invoice() == ("90.00", "101.70")

    assert cycle.rate(JULY, "110").status is LineStatus.CREDITED
    cycle.rate(SEPTEMBER, "80")
    assert cycle.invoice() == ("50.00", "56.50"), "80 less the credit of 30"

    newest = (await app.get("/invoices", params={"subscription": "sub-0", "limit": 1})).json()
    assert (newest["total"], newest["invoices"][0]["amount_total"]) == (3, "56.50")
    wanted = {"invoice_id": newest["invoices"][0]["id"], "request_id": "c1", "reason": "goodwill"}
    notes = [(await app.post("/credit-notes", json=wanted)).json()["invoice"] for _ in range(2)]
    assert notes[0]["id"] == notes[1]["id"]
    assert (notes[0]["type"], notes[0]["amount_total"]) == ("credit_note", "56.50")
    cycle.rate(SEPTEMBER, "80")
    assert cycle.invoice() is None, "what was credited is not billed again"

    cycle.rate(OCTOBER, "20")
    ended = await app.delete("/subscriptions/sub-0")
    assert ended.json()["subscription_state"] == "6_churn", ended.text
    last = cycle.rate(OCTOBER, "45")
    assert last.order_id is not None
    assert cycle.invoice_order(last.order_id) == ("45.00", "50.85")

    page: dict[str, Any] = (await app.get("/invoices", params={"customer": "c1"})).json()
    signs = {"invoice": 1, "credit_note": -1}
    billed = sum(signs[one["type"]] * Decimal(one["amount_untaxed"]) for one in page["invoices"])
    assert billed == 110 + 50 + 80 + 45 - 50, "every period's last amount, less what was given back: 50"
