"""The OpenAPI document is true: generated requests, good and bad, get only the answers it names."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from producers.gateway import create_app
from producers.gateway.catalog import CatalogView
from producers.gateway.odoo import OdooCalls
from producers.testing import FakeOdooTransport, FakeProducer
from schemas.catalog import Service, catalog_key
from schemas.settings import load
from tests.unit.gateway.invoices import INVOICE

KEY = "fus_test_contract"


def _customers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"external_id": row["external_id"], "status": "ok", "partner_id": 1} for row in rows]


def _subscriptions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    state = {"status": "ok", "subscription_id": 1, "subscription_state": "3_progress"}
    return [{**state, "external_id": row["external_id"] or "1"} for row in rows]


ONE_ENDPOINT = {
    "status": "ok",
    "endpoint": {"id": 1, "url": "https://app.example", "event_types": []},
    "secret": "whsec_new",
}
ONE_INVOICE = {"status": "ok", "invoice": INVOICE | {"lines": []}}


def _app(odoo: OdooCalls) -> FastAPI:
    catalog = CatalogView()
    service = Service(id=1, code="maps", name="Maps", api_key_hashes=(hashlib.sha256(KEY.encode()).hexdigest(),))
    catalog.apply(catalog_key(service), service.model_dump_json().encode())
    return create_app(load({}, gateway_requests_per_s=1e6), FakeProducer(), catalog, odoo)


OPERATIONS = [
    ("DELETE", "/api/billing/v1/subscriptions/{external_id}"),
    ("DELETE", "/api/billing/v1/webhook-endpoints/{endpoint_id}"),
    ("GET", "/api/billing/v1/health"),
    ("GET", "/api/billing/v1/invoices"),
    ("GET", "/api/billing/v1/invoices/{invoice_id}"),
    ("GET", "/api/billing/v1/invoices/{invoice_id}/pdf"),
    ("GET", "/api/billing/v1/plans"),
    ("GET", "/api/billing/v1/subscriptions/{external_id}/usage"),
    ("GET", "/api/billing/v1/webhook-endpoints"),
    ("POST", "/api/billing/v1/credit-notes"),
    ("POST", "/api/billing/v1/customers"),
    ("POST", "/api/billing/v1/invoices/{invoice_id}/retry"),
    ("POST", "/api/billing/v1/invoices/{invoice_id}/void"),
    ("POST", "/api/billing/v1/subscriptions"),
    ("POST", "/api/billing/v1/usage"),
    ("POST", "/api/billing/v1/webhook-endpoints"),
    ("POST", "/api/billing/v1/webhook-endpoints/{endpoint_id}/secret"),
    ("PUT", "/api/billing/v1/webhook-endpoints/{endpoint_id}"),
]
WITH_BODY = [(method, path) for method, path in OPERATIONS if method == "POST" and "{" not in path]


@pytest.fixture(scope="module")
def schema() -> Iterator[Any]:
    """Return the app's document, served in process, its neighbours in memory."""
    pdf = {"status": "ok", "name": "INV.pdf", "content": "JVBERi0="}
    transport = FakeOdooTransport(
        {
            "fc_upsert_customers": _customers,
            "fc_create_subscriptions": _subscriptions,
            "fc_terminate_subscriptions": _subscriptions,
            "fc_cancel_subscriptions": _subscriptions,
            "fc_list_invoices": {"status": "ok", "invoices": [INVOICE], "total": 1},
            "fc_invoice_pdf": pdf,
            **dict.fromkeys(
                ("fc_get_endpoint", "fc_set_endpoint", "fc_renew_endpoint_secret", "fc_delete_endpoint"), ONE_ENDPOINT
            ),
            **dict.fromkeys(
                ("fc_get_invoice", "fc_void_invoice", "fc_retry_payment", "fc_create_credit_note"), ONE_INVOICE
            ),
        }
    )
    odoo = OdooCalls(lambda: transport)
    app = _app(odoo)
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    app.state.ports.intake.close()
    odoo.close()


def test_the_document_names_every_operation(schema: Any) -> None:
    """Operations are added here and there together."""
    found = [result.ok() for result in schema.get_all_operations()]
    assert sorted((operation.method.upper(), operation.path) for operation in found) == OPERATIONS


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_good_requests_get_documented_answers(schema: Any, method: str, path: str) -> None:
    """What the document allows is accepted, and status, headers and body of the answer are as documented."""
    _run(schema[path][method], GenerationMode.POSITIVE)


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_bad_requests_are_refused_as_documented(schema: Any, method: str, path: str) -> None:
    """What the document forbids is refused with a documented answer, never with a crash."""
    _run(schema[path][method], GenerationMode.NEGATIVE)


def _run(operation: Any, mode: GenerationMode) -> None:
    @settings(max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE:
            case.body = _mended(case.body)
        case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"})

    check()


def _mended(value: Any) -> Any:
    """Return a generated body with what no schema can say: an end not before its start, at most 18 decimal places."""
    if isinstance(value, list):
        return [_mended(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    mended = {name: _mended(entry) for name, entry in value.items()}
    if "period_start" in mended and "period_end" in mended:
        mended["period_end"] = mended["period_start"]
    for name in ("quantity", "amount"):
        if isinstance(mended.get(name), float):
            mended[name] = round(mended[name], 6)
    return mended
