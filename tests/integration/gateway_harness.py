"""The gateway in the test's own process, over a real Odoo."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from deploy.adapters.odoo import OdooRpcTransport
from producers.gateway import create_app
from producers.gateway.catalog import CatalogView
from producers.gateway.odoo import OdooCalls
from producers.testing import FakeProducer
from schemas.settings import Settings


@asynccontextmanager
async def client_of_gateway(settings: Settings, catalog: CatalogView, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a service's key; usage goes to a producer that keeps it."""
    calls = OdooCalls(lambda: OdooRpcTransport(settings))
    app = create_app(settings, FakeProducer(), catalog, calls)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://gateway/api/billing/v1",
        headers={"Authorization": f"Bearer {key}"},
    ) as client:
        yield client
    app.state.ports.intake.close()
    calls.close()
