"""Invoices, credit notes and the end of a subscription, as an app sees them."""

from typing import Any

import httpx
import pytest

from producers.testing import FakeOdooTransport
from tests.unit.gateway.invoices import INVOICE

UNKNOWN = {"status": "error", "error": "there is no invoice 6 of maps", "field": "invoice_id"}
PAID = {"status": "error", "error": "an invoice that is paid cannot be voided", "field": "invoice_id"}


def _one(service: str, invoice_id: int) -> dict[str, Any]:
    return {"status": "ok", "invoice": INVOICE} if (service, invoice_id) == ("maps", 5) else UNKNOWN


@pytest.fixture(autouse=True)
def _odoo_has_an_invoice(odoo_transport: FakeOdooTransport) -> None:
    odoo_transport.answers |= {
        "fc_list_invoices": {"status": "ok", "invoices": [INVOICE], "total": 1},
        "fc_get_invoice": _one,
        "fc_invoice_pdf": {"status": "ok", "name": "INV.pdf", "content": "JVBERi0="},
        "fc_void_invoice": PAID,
        "fc_retry_payment": {"status": "ok", "invoice": INVOICE, "payment_state": "pending"},
        "fc_create_credit_note": {"status": "ok", "invoice": INVOICE | {"type": "credit_note"}},
    }


async def test_the_list_passes_its_filters_on(client: httpx.AsyncClient, odoo_transport: FakeOdooTransport) -> None:
    """Whose invoices is decided by the key, never by the query."""
    answer = await client.get("/invoices", params={"customer": "acme", "limit": 10, "service": "other"})
    assert (answer.status_code, answer.json()["total"]) == (200, 1)
    [(_, asked)] = odoo_transport.calls
    assert (asked["service"], asked["customer"], asked["limit"], asked["offset"]) == ("maps", "acme", 10, 0)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/invoices/6"), ("GET", "/invoices/6/pdf"), ("POST", "/invoices/6/void"), ("POST", "/invoices/6/retry")],
)
async def test_an_unknown_invoice_is_404_and_nothing_is_done(
    client: httpx.AsyncClient, odoo_transport: FakeOdooTransport, method: str, path: str
) -> None:
    """Another service's invoice looks the same."""
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert [name for name, _ in odoo_transport.calls] == ["fc_get_invoice"]


async def test_what_the_state_forbids_is_409_in_odoos_words(client: httpx.AsyncClient) -> None:
    """The app's person can read why."""
    answer = await client.post("/invoices/5/void")
    assert (answer.status_code, answer.json()["error"]["message"]) == (409, PAID["error"])


async def test_the_pdf_is_a_pdf(client: httpx.AsyncClient) -> None:
    """Its bytes, not their base64."""
    answer = await client.get("/invoices/5/pdf")
    assert (answer.headers["content-type"], answer.content) == ("application/pdf", b"%PDF-")


async def test_a_payment_is_retried_once_per_key(client: httpx.AsyncClient, odoo_transport: FakeOdooTransport) -> None:
    """The header reaches Odoo, which knows what it did under it."""
    answer = await client.post("/invoices/5/retry", headers={"Idempotency-Key": "try-1"})
    assert answer.json()["payment_state"] == "pending"
    assert odoo_transport.calls[-1][1]["request_id"] == "try-1"


async def test_a_credit_note_needs_a_request_id(client: httpx.AsyncClient, odoo_transport: FakeOdooTransport) -> None:
    """Without one, a retry would give the money back twice."""
    answer = await client.post("/credit-notes", json={"invoice_id": 5, "amount": "10.50"})
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, "request_id")
    answer = await client.post("/credit-notes", json={"invoice_id": 5, "amount": 10.50, "request_id": "r1"})
    assert answer.json()["invoice"]["type"] == "credit_note"
    assert odoo_transport.calls[-1][1]["amount"] == "10.5"


@pytest.mark.parametrize(
    ("query", "method"), [("", "fc_terminate_subscriptions"), ("?when=period_end", "fc_cancel_subscriptions")]
)
async def test_a_subscription_ends_by_the_apps_own_id(
    client: httpx.AsyncClient, odoo_transport: FakeOdooTransport, query: str, method: str
) -> None:
    """Slashes belong to the id."""

    def ended(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        state = {"status": "ok", "subscription_id": 17, "subscription_state": "6_churn"}
        return [{**state, "external_id": row["external_id"]} for row in rows]

    odoo_transport.answers[method] = ended
    answer = await client.delete(f"/subscriptions/eu/sub-1{query}")
    assert (answer.status_code, answer.json()["external_id"]) == (200, "eu/sub-1")
    assert odoo_transport.calls == [(method, {"rows": [{"service": "maps", "external_id": "eu/sub-1"}]})]


@pytest.mark.parametrize(("field", "status"), [("external_id", 404), (None, 409)])
async def test_a_subscription_that_cannot_end_says_why(
    client: httpx.AsyncClient, odoo_transport: FakeOdooTransport, field: str | None, status: int
) -> None:
    """Unknown, or in a state that has no end."""
    refusal = {"external_id": "x", "status": "error", "subscription_id": None, "subscription_state": None}
    refusal |= {"error": "because"} | ({"field": field} if field else {})
    odoo_transport.answers["fc_terminate_subscriptions"] = [refusal]
    answer = await client.delete("/subscriptions/x")
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, "because")


async def test_a_bad_parameter_is_400_like_any_other(client: httpx.AsyncClient) -> None:
    """In the one body that errors have."""
    answer = await client.get("/invoices", params={"limit": 1000})
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, "limit")
