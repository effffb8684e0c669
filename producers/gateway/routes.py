"""The routes under /api/billing/v1."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request

from producers.gateway.errors import Detail, conflict, invalid, not_found, unavailable
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
from producers.gateway.ports import CallingService, GivenPorts, IdempotencyKey
from producers.gateway.responses import ANSWERS, BODY_ANSWERS, CHANGE_ANSWERS, LOOK_ANSWERS, ODOO_ANSWERS
from producers.gateway.usage import checked_traceparent
from producers.gateway.usage_answers import CountedAnswer, SubscriptionUsageAnswer
from producers.gateway.validation import checked
from schemas.money import format_decimal
from schemas.odoo_rpc import CustomerRow, SubscriptionRef, SubscriptionRow

router = APIRouter(prefix="/api/billing/v1")


@router.get("/health", tags=["operation"])
async def health() -> HealthAnswer:
    """Tell that the process answers. No key needed."""
    return HealthAnswer()


@router.post("/usage", status_code=202, responses=BODY_ANSWERS, openapi_extra=request_body(UsageRequest))
async def usage(request: Request, service: CallingService, ports: GivenPorts) -> UsageAnswer:
    """Accept usage counters, all or none. 202 means durable; after anything else send the same again.

    A metric or subscription that is not known yet is accepted: its counters count as soon as it is.
    """
    body = await read_body(request, ports.settings.gateway_body_bytes_max)
    traceparent = checked_traceparent(request.headers.get("traceparent"))
    return UsageAnswer(accepted=await ports.intake.accept(Submission(service, body, traceparent)))


@router.get("/plans", responses=ANSWERS)
async def plans(service: CallingService, ports: GivenPorts) -> PlansAnswer:
    """List the active charges that the service may see, its own and the shared ones."""
    return PlansAnswer(charges=[ChargeAnswer.model_validate(charge) for charge in ports.catalog.charges(service)])


@router.post("/customers", responses=ODOO_ANSWERS, openapi_extra=request_body(CustomerRequest))
async def customers(request: Request, service: CallingService, ports: GivenPorts) -> CustomerAnswer:
    """Link the app's customer to its one partner in Odoo: by external id, else by e-mail, else a new one."""
    customer = checked(CustomerRequest, await _document(request, ports))
    row = CustomerRow(service=service, external_id=customer.external_id, name=customer.name, email=customer.email)
    result = (await ports.odoo.call(lambda odoo: odoo.upsert_customers([row])))[0]
    if result["status"] != "ok" or result["partner_id"] is None:
        raise invalid([_refusal(result)])
    return CustomerAnswer(partner_id=result["partner_id"], external_id=result["external_id"])


@router.post("/subscriptions", responses=ODOO_ANSWERS, openapi_extra=request_body(SubscriptionRequest))
async def subscriptions(
    request: Request, service: CallingService, ports: GivenPorts, idempotency_key: IdempotencyKey = None
) -> SubscriptionAnswer:
    """Create and confirm a subscription in Odoo, or answer the one that has this `external_id` already.

    Without `external_id` an `Idempotency-Key` becomes it, so that the call can be sent again after a 503. With
    neither, each call makes a subscription of its own.
    """
    wanted = checked(SubscriptionRequest, await _document(request, ports))
    row = SubscriptionRow(
        service=service,
        external_customer_id=wanted.external_customer_id,
        plan_id=wanted.plan_id,
        plan_code=wanted.plan_code,
        external_id=wanted.external_id or idempotency_key,
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


@router.get("/subscriptions/{external_id:path}/usage", responses=LOOK_ANSWERS)
async def subscription_usage(
    external_id: Annotated[str, Path(min_length=1, max_length=255)], service: CallingService, ports: GivenPorts
) -> SubscriptionUsageAnswer:
    """Show what is counted of a subscription, a few seconds after it was accepted; billing is Odoo's."""
    if not ports.totals.is_complete():
        raise unavailable("the totals are still being read")
    counted = ports.totals.of(service, external_id)
    return SubscriptionUsageAnswer(
        external_id=external_id, usage=[CountedAnswer.model_validate(one) for one in counted]
    )


@router.delete("/subscriptions/{external_id:path}", responses=CHANGE_ANSWERS)
async def end_subscription(
    external_id: Annotated[str, Path(min_length=1, max_length=255)],
    service: CallingService,
    ports: GivenPorts,
    when: Literal["now", "period_end"] = "now",
) -> SubscriptionAnswer:
    """End a subscription by the app's own id, now or with the period that is invoiced already; again changes nothing.

    Ended now, what it owes for usage is billed by a final invoice.
    """
    rows = [SubscriptionRef(service=service, external_id=external_id)]
    result = (
        await ports.odoo.call(
            lambda odoo: odoo.terminate_subscriptions(rows) if when == "now" else odoo.cancel_subscriptions(rows)
        )
    )[0]
    if result["status"] != "ok" or result["subscription_id"] is None:
        refusal = _refusal(result)
        raise not_found(refusal.message) if refusal.field == "external_id" else conflict(refusal.message)
    return SubscriptionAnswer(
        subscription_id=result["subscription_id"],
        subscription_state=result["subscription_state"] or "",
        external_id=result["external_id"],
    )


async def _document(request: Request, ports: GivenPorts) -> dict[str, Any]:
    return parse_object(await read_body(request, ports.settings.gateway_body_bytes_max))


def _refusal(result: Any) -> Detail:
    return Detail(field=result.get("field"), message=result.get("error") or "refused by Odoo")
