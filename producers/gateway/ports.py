"""What the routes need, handed in once by `create_app`, and the checks that every request passes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from producers.gateway.catalog import CatalogView
from producers.gateway.errors import too_many_requests, unauthorized, unavailable
from producers.gateway.intake import UsageIntake
from producers.gateway.key_uses import KeyUses
from producers.gateway.new_keys import NewKeys
from producers.gateway.odoo import OdooCalls
from producers.gateway.rate_limit import RateLimit
from producers.gateway.totals import TotalsView
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Ports:
    """The gateway's neighbours."""

    settings: Settings
    catalog: CatalogView
    is_catalog_complete: Callable[[], bool]
    intake: UsageIntake
    odoo: OdooCalls
    new_keys: NewKeys
    rate_limit: RateLimit
    key_uses: KeyUses
    totals: TotalsView


async def ports_of(request: Request) -> Ports:
    """Return the ports of the app that serves this request."""
    return cast("Ports", request.app.state.ports)


GivenPorts = Annotated[Ports, Depends(ports_of)]

_bearer = HTTPBearer(auto_error=False, description="The service's API key.")


async def service_of(
    request: Request,
    ports: GivenPorts,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    """Return the service that owns the request's key; nothing in the request itself can name another."""
    if not ports.is_catalog_complete():
        raise unavailable("the catalog is still being read")
    api_key = credentials.credentials if credentials else ""
    owner = ports.catalog.owner_of(api_key) or await ports.new_keys.owner_of(api_key)
    if owner is None or credentials is None:
        raise unauthorized()
    request.state.service = owner.service
    ports.key_uses.note(owner.key_hash)
    wait_s = ports.rate_limit.take(owner.service, time.monotonic())
    if wait_s:
        raise too_many_requests(wait_s)
    return owner.service


CallingService = Annotated[str, Depends(service_of)]

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
"""The header `Idempotency-Key`: the same request under the same key is carried out once."""
