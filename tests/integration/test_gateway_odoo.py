"""What an app does over HTTP, on a real Odoo: its invoices, its payments, its webhook endpoint, its newest key."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from deploy.adapters.odoo import OdooRpcTransport
from producers.gateway.catalog import CatalogView
from schemas.odoo_rpc import OdooBilling
from schemas.settings import Settings, load
from sinks.odoo.reading import rated
from tests.integration.gateway_harness import client_of_gateway
from tests.integration.odoo_harness import OdooBooks, make_books, save_payment_method
from tests.stack.odoo import OdooServer

pytestmark = pytest.mark.odoo


@pytest.fixture(scope="module")
def books(odoo: OdooServer) -> OdooBooks:
    """Return a service with one subscription."""
    return make_books(odoo, 1)


@pytest.fixture
def settings(odoo: OdooServer) -> Settings:
    """Return the way to this Odoo."""
    return load(odoo.variables())


@pytest.fixture
async def app(settings: Settings, odoo: OdooServer, books: OdooBooks) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client whose key Odoo made a moment ago; the gateway's catalog is empty."""
    [service] = odoo.call("fusion.billing.service", "search", [["code", "=", books.service]])
    key = odoo.call("fusion.billing.service", "action_generate_api_key", [service])
    async with client_of_gateway(settings, CatalogView(), key) as client:
        yield client


def invoice_usage(settings: Settings, books: OdooBooks, amount: str, version: int) -> int:
    """Bring the period's usage to an amount, invoice it as the nightly job does, and return the invoice."""
    row = rated(books.overage("sub-0", amount, version)).row
    [result] = OdooBilling(OdooRpcTransport(settings)).upsert_lines([row])
    assert result["status"] in ("created", "unchanged"), result
    found = books.odoo.call("sale.order", "action_invoice_subscription", [result["order_id"]])
    return int(found[0])


async def told(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    """Return the body of an answer with this status."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_invoice_is_shown_withdrawn_and_collected(
    app: httpx.AsyncClient, settings: Settings, books: OdooBooks, odoo: OdooServer
) -> None:
    """With its HST, the usage behind its line and a PDF; voided its usage is invoiced anew; paid it stays."""
    first = invoice_usage(settings, books, "100", 1)
    shown = (await told(await app.get(f"/invoices/{first}")))["invoice"]
    amounts = shown["amount_untaxed"], shown["amount_tax"], shown["amount_total"], shown["amount_due"]
    assert amounts == ("100.00", "13.00", "113.00", "113.00")
    [line] = [line for line in shown["lines"] if line["overage_key"]]
    assert (line["charge"], line["amount"], line["period_start"]) == (books.charge, "100.00", "2026-07-01T00:00:00Z")

    pdf = await app.get(f"/invoices/{first}/pdf")
    assert (pdf.status_code, pdf.headers["content-type"]) == (200, "application/pdf"), pdf.text[:500]
    assert pdf.content.startswith(b"%PDF-")
    assert len(pdf.content) > 5_000, "a page with something on it"

    assert (await told(await app.post(f"/invoices/{first}/void")))["invoice"]["state"] == "cancel"
    second = invoice_usage(settings, books, "100", 2)
    assert second != first
    no_method = await told(await app.post(f"/invoices/{second}/retry"), 409)
    assert "payment method" in no_method["error"]["message"]

    save_payment_method(odoo, second, "done")
    for _ in range(2):
        answer = await told(await app.post(f"/invoices/{second}/retry", headers={"Idempotency-Key": "try-1"}))
        assert (answer["payment_state"], answer["invoice"]["amount_due"]) == ("done", "0.00")
    asked = [["invoice_ids", "in", [second]], ["x_fc_request_id", "=", "try-1"]]
    assert odoo.call("payment.transaction", "search_count", asked) == 1
    assert "paid" in (await told(await app.post(f"/invoices/{second}/void"), 409))["error"]["message"]

    other = make_books(odoo, 1)
    foreign = invoice_usage(settings, other, "7", 1)
    for method, path in (("GET", ""), ("GET", "/pdf"), ("POST", "/void"), ("POST", "/retry")):
        await told(await app.request(method, f"/invoices/{foreign}{path}"), 404)
    [untouched] = odoo.call("account.move", "read", [foreign], ["state", "transaction_ids"])
    assert (untouched["state"], untouched["transaction_ids"]) == ("posted", [])


async def test_a_webhook_endpoint_is_made_moved_and_deleted(
    app: httpx.AsyncClient, settings: Settings, books: OdooBooks
) -> None:
    """What the feed would publish follows each step; the secret is told once."""

    def published() -> list[Any]:
        records = OdooBilling(OdooRpcTransport(settings)).catalog()["records"]
        values = [record["value"] for record in records if record["key"].startswith("endpoint/")]
        return [value for value in values if value and value["service"] == books.service]

    wanted = {"url": "https://app.example/hooks", "event_types": ["invoice.paid"]}
    made = await told(await app.post("/webhook-endpoints", json=wanted))
    [endpoint] = published()
    assert (endpoint["url"], endpoint["event_types"]) == (wanted["url"], wanted["event_types"])
    assert endpoint["secrets"][0] == made["secret"]
    path = f"/webhook-endpoints/{made['webhook_endpoint']['id']}"
    renewed = (await told(await app.post(f"{path}/secret")))["secret"]
    moved = await told(await app.put(path, json={"url": "https://app.example/2"}))
    assert moved["secret"] is None
    [endpoint] = published()
    assert (endpoint["url"], endpoint["event_types"]) == ("https://app.example/2", [])
    assert endpoint["secrets"][:2] == [renewed, made["secret"]]
    wrong = await told(await app.put(path, json={"url": "https://app.example", "event_types": ["no.such"]}), 400)
    assert wrong["error"]["details"][0]["field"] == "event_types"
    await told(await app.delete(path))
    assert published() == []
    await told(await app.delete(path), 404)
