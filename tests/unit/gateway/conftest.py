"""A gateway in memory: two services, their catalog, fakes instead of Kafka and Odoo."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from producers.gateway import create_app
from producers.gateway.catalog import CatalogView
from producers.gateway.odoo import OdooCalls
from producers.gateway.totals import TotalsView
from producers.testing import FakeOdooTransport, FakeProducer
from schemas.catalog import Aggregation, CatalogEntry, Charge, ChargeModel, Metric, Service, catalog_key
from schemas.settings import Settings, load

KEY = "fus_test_maps_0123456789abcdef"
OTHER_KEY = "fus_test_other_0123456789abcdef"


def _service(number: int, code: str, key: str, *, active: bool = True) -> Service:
    return Service(
        id=number, code=code, name=code, active=active, api_key_hashes=(hashlib.sha256(key.encode()).hexdigest(),)
    )


def _charge(number: int, code: str, service: str | None, *, active: bool = True) -> Charge:
    return Charge(
        id=number,
        code=code,
        name=code,
        service=service,
        metric="api_calls",
        plan_code="maps-business",
        product=7,
        included_quota=Decimal(5_000_000),
        price_per_unit=Decimal("0.100000"),
        unit_batch=Decimal(1000),
        charge_model=ChargeModel.STANDARD,
        currency="CAD",
        active=active,
    )


ENTRIES: list[CatalogEntry] = [
    _service(1, "maps", KEY),
    _service(2, "other", OTHER_KEY),
    _service(3, "retired", "fus_test_retired", active=False),
    Metric(id=1, code="api_calls", name="API calls", aggregation=Aggregation.SUM),
    Metric(id=2, service="maps", code="balance", name="Balance", aggregation=Aggregation.LAST, allow_negative=True),
    _charge(1, "maps-calls", "maps"),
    _charge(2, "shared-calls", None),
    _charge(3, "other-calls", "other"),
    _charge(4, "old-calls", "maps", active=False),
]


@pytest.fixture
def catalog() -> CatalogView:
    """Return a view that has read the catalog."""
    view = CatalogView()
    for entry in ENTRIES:
        view.apply(catalog_key(entry), entry.model_dump_json().encode())
    return view


@pytest.fixture
def producer() -> FakeProducer:
    """Return a Kafka that acknowledges at once."""
    return FakeProducer()


@pytest.fixture
def odoo_transport() -> FakeOdooTransport:
    """Return an Odoo that says yes."""

    def customers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"external_id": row["external_id"], "status": "ok", "partner_id": 41} for row in rows]

    def subscriptions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        state = {"status": "ok", "subscription_id": 17, "subscription_state": "3_progress"}
        return [{**state, "external_id": row["external_id"] or "17"} for row in rows]

    return FakeOdooTransport({"fc_upsert_customers": customers, "fc_create_subscriptions": subscriptions})


@pytest.fixture
def odoo(odoo_transport: FakeOdooTransport) -> Iterator[OdooCalls]:
    """Return the calls over the fake transport."""
    calls = OdooCalls(lambda: odoo_transport)
    yield calls
    calls.close()


@pytest.fixture
def ack_timeout_s() -> float:
    """Return a patience that no busy machine exhausts; a test of impatience has its own."""
    return 60.0


@pytest.fixture
def settings(ack_timeout_s: float) -> Settings:
    """Return settings with small bodies."""
    return load({}, gateway_ack_timeout_s=ack_timeout_s, gateway_body_bytes_max=200_000)


@pytest.fixture
def totals() -> TotalsView:
    """Return a view that has read nothing yet."""
    return TotalsView()


@pytest.fixture
def app(
    settings: Settings, producer: FakeProducer, catalog: CatalogView, odoo: OdooCalls, totals: TotalsView
) -> Iterator[FastAPI]:
    """Return the gateway's app."""
    made = create_app(settings, producer, catalog, odoo, totals=totals)
    yield made
    made.state.ports.intake.close()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that carries the maps service's key."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport,
        base_url="http://gateway/api/billing/v1",
        headers={"Authorization": f"Bearer {KEY}"},
    ) as opened:
        yield opened


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """Return a maker of good usage events."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "subscription_external_id": "sub-1",
            "metric_code": "api_calls",
            "quantity": 1500,
            "period_start": "2026-07-01T00:00:00Z",
            "period_end": "2026-07-01T01:00:00Z",
            "idempotency_key": "key-1",
        } | changes

    return make
