"""Health, keys, plans, customers and subscriptions."""

import httpx
import pytest
from fastapi import FastAPI

from producers.gateway import create_app
from producers.gateway.catalog import CatalogView
from producers.gateway.odoo import OdooCalls
from producers.testing import FakeOdooTransport, FakeProducer
from schemas.errors import OdooRefused
from schemas.settings import Settings, load

SUBSCRIPTION = {
    "external_customer_id": "acme",
    "plan_id": 3,
    "plan_code": "maps-business",
    "external_id": "sub-1",
    "start_date": "2026-07-01",
    "lines": [{"product_id": 7, "quantity": 1.5}],
}


async def test_health_needs_no_key(client: httpx.AsyncClient) -> None:
    """Health answers anyone."""
    answer = await client.get("/health", headers={"Authorization": ""})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic Zm9vOmJhcg==", "Bearer fus_test_retired", "Bearer é"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/plans"), ("POST", "/usage"), ("POST", "/customers")])
async def test_without_a_live_key_it_is_401(client: httpx.AsyncClient, header: str, method: str, path: str) -> None:
    """No key, a wrong one, one of a service that is no longer active: all the same answer."""
    answer = await client.request(method, path, headers=[(b"Authorization", header.encode())])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "unauthorized"


async def test_a_key_in_the_wrong_case_is_401(client: httpx.AsyncClient) -> None:
    """Keys are compared exactly."""
    headers = {"Authorization": client.headers["authorization"].replace("fus_", "FUS_")}
    assert (await client.get("/plans", headers=headers)).status_code == 401


async def test_plans_lists_own_and_shared_active_charges(client: httpx.AsyncClient) -> None:
    """A service sees its own charges and the shared ones, decimals as strings, nothing inactive or foreign."""
    answer = await client.get("/plans")
    assert answer.status_code == 200
    charges = answer.json()["charges"]
    assert [charge["code"] for charge in charges] == ["maps-calls", "shared-calls"]
    assert charges[0] == {
        "code": "maps-calls",
        "plan_code": "maps-business",
        "metric": "api_calls",
        "included_quota": "5000000",
        "price_per_unit": "0.1",
        "unit_batch": "1000",
        "charge_model": "standard",
        "currency": "CAD",
        "tiers": [],
    }


async def test_a_customer_is_linked_in_odoo(client: httpx.AsyncClient, odoo_transport: FakeOdooTransport) -> None:
    """The service comes from the key, whatever the body says."""
    answer = await client.post("/customers", json={"external_id": "acme", "name": "Acme", "service": "other"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "partner_id": 41, "external_id": "acme"})
    row = {"service": "maps", "external_id": "acme", "name": "Acme", "email": None}
    assert odoo_transport.calls == [("fc_upsert_customers", {"rows": [row]})]


async def test_a_subscription_is_created_in_odoo(client: httpx.AsyncClient, odoo_transport: FakeOdooTransport) -> None:
    """Quantities travel as decimal strings; the answer names the external id to send counters with."""
    answer = await client.post("/subscriptions", json=SUBSCRIPTION)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "subscription_id": 17,
        "subscription_state": "3_progress",
        "external_id": "sub-1",
    }
    row = odoo_transport.calls[0][1]["rows"][0]
    assert (row["service"], row["start_date"]) == ("maps", "2026-07-01")
    assert row["lines"] == [{"product_id": 7, "quantity": "1.5"}]


async def test_bad_fields_are_named_before_odoo_is_asked(
    client: httpx.AsyncClient, odoo_transport: FakeOdooTransport
) -> None:
    """Every wrong field is in the answer, with its place."""
    bad = SUBSCRIPTION | {"plan_id": "3", "start_date": 5, "lines": [{"product_id": 7, "quantity": "x"}]}
    answer = await client.post("/subscriptions", json=bad)
    assert answer.status_code == 400
    fields = {detail["field"] for detail in answer.json()["error"]["details"]}
    assert fields == {"plan_id", "start_date", "lines.0.quantity"}
    assert not odoo_transport.calls


async def test_a_row_that_odoo_refuses_is_400_with_its_field(
    client: httpx.AsyncClient, odoo_transport: FakeOdooTransport
) -> None:
    """Odoo's verdict on the row reaches the app."""
    refused = {"status": "error", "subscription_id": None, "error": "no such plan", "field": "plan_id"}
    odoo_transport.answers["fc_create_subscriptions"] = [refused]
    answer = await client.post("/subscriptions", json=SUBSCRIPTION)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"] == [{"index": None, "field": "plan_id", "message": "no such plan"}]


async def test_odoo_away_is_503_and_usage_goes_on(client: httpx.AsyncClient, odoo_transport: FakeOdooTransport) -> None:
    """What needs Odoo says when to come back; what does not, works."""
    odoo_transport.is_away = True
    answer = await client.post("/customers", json={"external_id": "acme"})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert (await client.get("/plans")).status_code == 200
    odoo_transport.is_away = False
    assert (await client.post("/customers", json={"external_id": "acme"})).status_code == 200


async def test_odoo_refusing_the_call_is_502_without_its_text(
    client: httpx.AsyncClient, odoo_transport: FakeOdooTransport
) -> None:
    """Our own misconfiguration is not the app's business."""
    odoo_transport.answers["fc_upsert_customers"] = OdooRefused("odoo.exceptions.AccessError", "secret table")
    answer = await client.post("/customers", json={"external_id": "acme"})
    assert answer.status_code == 502
    assert "secret" not in answer.text


async def test_unknown_routes_and_methods_have_the_same_error_body(client: httpx.AsyncClient) -> None:
    """404 and 405 look like all other errors."""
    assert (await client.get("/nothing")).json()["error"]["code"] == "not_found"
    wrong = await client.get("/usage")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["allow"]


async def test_a_bug_is_500_in_the_same_shape(client: httpx.AsyncClient, odoo_transport: FakeOdooTransport) -> None:
    """No trace of the inside leaves the process."""
    odoo_transport.answers["fc_upsert_customers"] = RuntimeError("inside")
    answer = await client.post("/customers", json={"external_id": "acme"})
    assert answer.status_code == 500
    assert answer.json()["error"] == {"code": "internal", "message": "internal error", "details": []}


async def test_before_the_catalog_is_read_keys_cannot_be_judged(
    settings: Settings, producer: FakeProducer, odoo: OdooCalls
) -> None:
    """A good key must not be called bad only because the catalog is still on its way."""
    app = create_app(settings, producer, CatalogView(), odoo, is_catalog_complete=lambda: False)
    answer = await _get_plans(app)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


async def test_a_service_that_sends_too_fast_gets_429(
    producer: FakeProducer, catalog: CatalogView, odoo: OdooCalls, client: httpx.AsyncClient
) -> None:
    """The rate is per service."""
    app = create_app(load({}, gateway_requests_per_s=0.001), producer, catalog, odoo)
    headers = {"Authorization": client.headers["authorization"]}
    assert (await _get_plans(app, headers)).status_code == 200
    answer = await _get_plans(app, headers)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 1


async def _get_plans(app: FastAPI, headers: dict[str, str] | None = None) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get("/api/billing/v1/plans", headers=headers)


async def test_a_subscription_without_id_is_made_once_per_idempotency_key(
    client: httpx.AsyncClient, odoo_transport: FakeOdooTransport
) -> None:
    """The key becomes the id, which Odoo holds once per service; an id of the app's own goes before it."""
    body = {name: value for name, value in SUBSCRIPTION.items() if name != "external_id"}
    headers = {"Idempotency-Key": "order-2026-0001"}
    for asked, expected in ((body, "order-2026-0001"), (SUBSCRIPTION, "sub-1")):
        answer = await client.post("/subscriptions", json=asked, headers=headers)
        assert answer.json()["external_id"] == expected
        assert odoo_transport.calls[-1][1]["rows"][0]["external_id"] == expected
    assert (await client.post("/subscriptions", json=body, headers={"Idempotency-Key": "no space"})).status_code == 400
