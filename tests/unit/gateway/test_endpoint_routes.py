"""Webhook endpoints, as an app sees them."""

from typing import Any

import httpx
import pytest

from producers.testing import FakeOdooTransport

URL = "https://app.example/hooks"
ENDPOINT = {"id": 3, "url": URL, "event_types": ["invoice.paid"]}


@pytest.fixture(autouse=True)
def held(odoo_transport: FakeOdooTransport) -> dict[str, Any]:
    """Return what Odoo holds; answers follow it."""
    held: dict[str, Any] = {"endpoint": None}

    def put(url: str, event_types: list[str], **_: Any) -> dict[str, Any]:
        secret = None if held["endpoint"] else "whsec_new"
        held["endpoint"] = {"id": 3, "url": url, "event_types": event_types}
        return {"status": "ok", "endpoint": held["endpoint"], "secret": secret}

    def delete(**_: Any) -> dict[str, Any]:
        held["endpoint"] = None
        return {"status": "ok", "endpoint": None}

    odoo_transport.answers |= {
        "fc_get_endpoint": lambda **_: {"status": "ok", "endpoint": held["endpoint"]},
        "fc_set_endpoint": put,
        "fc_renew_endpoint_secret": lambda **_: {"status": "ok", "endpoint": held["endpoint"], "secret": "whsec_2"},
        "fc_delete_endpoint": delete,
    }
    return held


async def test_from_making_to_deleting(client: httpx.AsyncClient) -> None:
    """The secret is shown when it is made, and only then."""
    made = await client.post("/webhook-endpoints", json={"url": URL})
    assert made.json() == {
        "status": "ok",
        "webhook_endpoint": {"id": 3, "url": URL, "event_types": []},
        "secret": "whsec_new",
    }
    changed = await client.put("/webhook-endpoints/3", json={"url": URL, "event_types": ["invoice.paid"]})
    assert (changed.json()["webhook_endpoint"], changed.json()["secret"]) == (ENDPOINT, None)
    listed = await client.get("/webhook-endpoints")
    assert listed.json() == {"status": "ok", "webhook_endpoints": [ENDPOINT]}
    assert (await client.post("/webhook-endpoints/3/secret")).json()["secret"] == "whsec_2"
    assert (await client.delete("/webhook-endpoints/3")).json() == {"status": "ok"}
    assert (await client.get("/webhook-endpoints")).json()["webhook_endpoints"] == []


async def test_a_service_has_one(client: httpx.AsyncClient, held: dict[str, Any]) -> None:
    """A second one is refused and changes nothing."""
    held["endpoint"] = ENDPOINT
    answer = await client.post("/webhook-endpoints", json={"url": f"{URL}/2"})
    assert (answer.status_code, held["endpoint"]) == (409, ENDPOINT)


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", ""), ("DELETE", ""), ("POST", "/secret")], ids=["change", "delete", "renew"]
)
async def test_another_service_s_endpoint_is_unknown(
    client: httpx.AsyncClient, held: dict[str, Any], method: str, path: str
) -> None:
    """By its number, too."""
    held["endpoint"] = ENDPOINT
    answer = await client.request(method, f"/webhook-endpoints/4{path}", json={"url": URL})
    assert (answer.status_code, held["endpoint"]) == (404, ENDPOINT)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://app.example"}, "url"),
        ({"url": "https://app.example/" + "x" * 300}, "url"),
        ({"url": URL, "event_types": ["Invoice Paid"]}, "event_types.0"),
    ],
)
async def test_a_bad_endpoint_is_refused(client: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    """Named by field."""
    answer = await client.post("/webhook-endpoints", json=body)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, field)


async def test_what_odoo_refuses_is_said(client: httpx.AsyncClient, odoo_transport: FakeOdooTransport) -> None:
    """An event type that there is not."""
    refused = {"status": "error", "error": "there is no event type no.such", "field": "event_types"}
    odoo_transport.answers["fc_set_endpoint"] = refused
    answer = await client.post("/webhook-endpoints", json={"url": URL, "event_types": ["no.such"]})
    assert (answer.status_code, answer.json()["error"]["details"][0]["message"]) == (400, refused["error"])
