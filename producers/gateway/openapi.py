"""OpenAPI for bodies that the gateway parses itself, because no framework keeps numbers exact and fields single."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from producers.gateway.endpoint_models import EndpointRequest
from producers.gateway.invoice_models import CreditNoteRequest
from producers.gateway.models import CustomerRequest, SubscriptionRequest, UsageRequest

_REF = "#/components/schemas/{model}"
_REQUESTS: tuple[type[BaseModel], ...] = (
    CreditNoteRequest,
    CustomerRequest,
    EndpointRequest,
    SubscriptionRequest,
    UsageRequest,
)


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the part of an operation that describes its body."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """Return the app's OpenAPI document, request models included; made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, requests = models_json_schema([(model, "validation") for model in _REQUESTS], ref_template=_REF)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(requests["$defs"])
        _without_422(document)
        app.openapi_schema = document
    return app.openapi_schema


def _without_422(document: dict[str, Any]) -> None:
    """Take out the framework's own answer to a bad parameter: here that is a 400 like any other."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
