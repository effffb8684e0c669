"""The gateway as an ASGI app, its neighbours handed in."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from producers.gateway.catalog import CatalogView
from producers.gateway.endpoint_routes import router as endpoint_router
from producers.gateway.errors import ApiError, Detail, ErrorCode, invalid, too_large, unavailable
from producers.gateway.intake import UsageIntake
from producers.gateway.invoice_routes import router as invoice_router
from producers.gateway.key_uses import KeyUses
from producers.gateway.new_keys import NewKeys
from producers.gateway.observer import Observer
from producers.gateway.odoo import OdooCalls
from producers.gateway.openapi import openapi_of
from producers.gateway.ports import Ports
from producers.gateway.rate_limit import RateLimit
from producers.gateway.routes import router
from producers.gateway.totals import TotalsView
from producers.kafka_client import RecordProducer, RecordTooLarge
from schemas.errors import OdooRefused, Unavailable
from schemas.settings import Settings
from schemas.topics import USAGE

_log = structlog.get_logger("fusion.gateway")


def create_app(  # noqa: PLR0913, PLR0917 -- each is a neighbour
    settings: Settings,
    producer: RecordProducer,
    catalog: CatalogView,
    odoo: OdooCalls,
    is_catalog_complete: Callable[[], bool] = lambda: True,
    key_uses: KeyUses | None = None,
    totals: TotalsView | None = None,
) -> FastAPI:
    """Return the app. It owns no connection: whoever made the ports closes them.

    Until `is_catalog_complete`, every request that needs a key is answered with 503, as no key can be judged.
    """
    app = FastAPI(
        title="fusion-billing gateway",
        version="1",
        description="Usage counters in, billing out. One bearer key per service.",
    )
    app.state.ports = Ports(
        settings=settings,
        catalog=catalog,
        is_catalog_complete=is_catalog_complete,
        intake=UsageIntake(settings.topic(USAGE), producer, catalog, settings.gateway_ack_timeout_s),
        odoo=odoo,
        new_keys=NewKeys(odoo),
        rate_limit=RateLimit(settings.gateway_requests_per_s),
        key_uses=key_uses or KeyUses(),
        totals=totals or TotalsView(),
    )
    app.include_router(router)
    app.include_router(invoice_router)
    app.include_router(endpoint_router)
    app.openapi = partial(openapi_of, app)  # type: ignore[method-assign]
    app.add_middleware(Observer)
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    return app


async def _answer_api_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ApiError):
        raise error
    return error.response()


async def _answer_bad_parameter(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    return invalid([Detail(field=str(bad["loc"][-1]), message=bad["msg"]) for bad in error.errors()]).response()


async def _answer_unavailable(_: Request, error: Exception) -> JSONResponse:
    _log.warning("gateway.neighbour_unavailable", neighbour=type(error).__name__, error=str(error))
    retry_after_s = error.retry_after_s if isinstance(error, Unavailable) else 1
    return unavailable("a neighbour is away; send the same again", retry_after_s).response()


async def _answer_too_large(_: Request, __: Exception) -> JSONResponse:
    return too_large("one event is larger than a Kafka record may be").response()


async def _answer_odoo_refused(_: Request, error: Exception) -> JSONResponse:
    # Its text may name tables and users: for our log, not for the app.
    _log.error("gateway.odoo_refused", error=str(error))
    return ApiError(502, ErrorCode.REFUSED_BY_ODOO, "Odoo refused the call").response()


async def _answer_http_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    codes = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}
    code = codes.get(error.status_code, ErrorCode.MALFORMED)
    return ApiError(error.status_code, code, HTTPStatus(error.status_code).phrase, headers=error.headers).response()


async def _answer_bug(_: Request, __: Exception) -> JSONResponse:
    return ApiError(500, ErrorCode.INTERNAL, "internal error").response()


_ANSWERS = {
    ApiError: _answer_api_error,
    RequestValidationError: _answer_bad_parameter,
    Unavailable: _answer_unavailable,
    RecordTooLarge: _answer_too_large,
    OdooRefused: _answer_odoo_refused,
    HTTPException: _answer_http_error,
    Exception: _answer_bug,
}
