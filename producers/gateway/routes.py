"""The routes under /api/billing/v1."""

from typing import Any

from fastapi import APIRouter, Request

from producers.gateway.errors import Detail, ErrorBody, invalid
from producers.gateway.intake import Submission
from producers.gateway.json_body import parse_object, read_body
from producers.gateway.models import (
    ChargeAnswer,
    CustomerAnswer,
    CustomerRequest,
    HealthAnswer,
    PlansAnswer,
    SubscriptionAnswer,
    SubscriptionRequest,
    UsageAnswer,
    UsageRequest,
)
from producers.gateway.openapi import request_body
from producers.gateway.ports import CallingService, GivenPorts
from producers.gateway.usage import checked_traceparent
from producers.gateway.validation import checked
from schemas.money import format_decimal
from schemas.odoo_rpc import CustomerRow, SubscriptionRow

_RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    401: {
        "model": ErrorBody,
        "description": "No valid API key",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    },
    429: {"model": ErrorBody, "description": "Too many requests", "headers": _RETRY_AFTER},
    503: {"model": ErrorBody, "description": "Nothing is wrong with it: send it again", "headers": _RETRY_AFTER},
}
_BODY_ANSWERS: dict[int | str, dict[str, Any]] = _ANSWERS | {
    400: {"model": ErrorBody, "description": "Nothing was accepted; `details` names index and field"},
    408: {"model": ErrorBody, "description": "The body did not arrive in time"},
    413: {"model": ErrorBody, "description": "Send it in smaller pieces"},
}
_ODOO_ANSWERS: dict[int | str, dict[str, Any]] = _BODY_ANSWERS | {
    502: {"model": ErrorBody, "description": "Odoo refused the call as a whole"},
}

router = APIRouter(prefix="/api/billing/v1")


@router.get("/health", tags=["operation"])
async def health() -> HealthAnswer:
    """Tell that the process answers. No key needed."""
    return HealthAnswer()


@router.post("/usage", status_code=202, responses=_BODY_ANSWERS, openapi_extra=request_body(UsageRequest))
async def usage(request: Request, service: CallingService, ports: GivenPorts) -> UsageAnswer:
    """Accept usage counters, all or none. 202 means durable; after anything else send the same again.

    A metric or subscription that is not known yet is accepted: its counters count as soon as it is.
    """
    body = await read_body(request, ports.settings.gateway_body_bytes_max)
    traceparent = checked_traceparent(request.headers.get("traceparent"))
    return UsageAnswer(accepted=await ports.intake.accept(Submission(service, body, traceparent)))


@router.get("/plans", responses=_ANSWERS)
async def plans(service: CallingService, ports: GivenPorts) -> PlansAnswer:
    """List the active charges that the service may see, its own and the shared ones."""
    return PlansAnswer(charges=[ChargeAnswer.model_validate(charge) for charge in ports.catalog.charges(service)])


@router.post("/customers", responses=_ODOO_ANSWERS, openapi_extra=request_body(CustomerRequest))
async def customers(request: Request, service: CallingService, ports: GivenPorts) -> CustomerAnswer:
    """Link the app's customer to its one partner in Odoo: by external id, else by e-mail, else a new one."""
    customer = checked(CustomerRequest, await _document(request, ports))
    row = CustomerRow(service=service, external_id=customer.external_id, name=customer.name, email=customer.email)
    result = (await ports.odoo.call(lambda odoo: odoo.upsert_customers([row])))[0]
    if result["status"] != "ok" or result["partner_id"] is None:
        raise invalid([_refusal(result)])
    return CustomerAnswer(partner_id=result["partner_id"], external_id=result["external_id"])


@router.post("/subscriptions", responses=_ODOO_ANSWERS, openapi_extra=request_body(SubscriptionRequest))
async def subscriptions(request: Request, service: CallingService, ports: GivenPorts) -> SubscriptionAnswer:
    """Create and confirm a subscription in Odoo, or answer the one that has this `external_id` already."""
    wanted = checked(SubscriptionRequest, await _document(request, ports))
    row = SubscriptionRow(
        service=service,
        external_customer_id=wanted.external_customer_id,
        plan_id=wanted.plan_id,
        plan_code=wanted.plan_code,
        external_id=wanted.external_id,
        start_date=wanted.start_date.isoformat() if wanted.start_date else None,
        lines=[{"product_id": line.product_id, "quantity": format_decimal(line.quantity)} for line in wanted.lines],
    )
    result = (await ports.odoo.call(lambda odoo: odoo.create_subscriptions([row])))[0]
    if result["status"] != "ok" or result["subscription_id"] is None:
        raise invalid([_refusal(result)])
    return SubscriptionAnswer(
        subscription_id=result["subscription_id"],
        subscription_state=result["subscription_state"] or "",
        external_id=result["external_id"],
    )


async def _document(request: Request, ports: GivenPorts) -> dict[str, Any]:
    return parse_object(await read_body(request, ports.settings.gateway_body_bytes_max))


def _refusal(result: Any) -> Detail:
    return Detail(field=result.get("field"), message=result.get("error") or "refused by Odoo")
