"""The routes of invoices and credit notes: what Odoo holds for the calling service, and what may be done with it."""

import base64
from typing import Annotated, Any, Literal, TypeVar, cast

from fastapi import APIRouter, Path, Query, Request, Response

from producers.gateway.errors import conflict, not_found
from producers.gateway.invoice_models import CreditNoteRequest, InvoicesAnswer, OneInvoiceAnswer
from producers.gateway.json_body import parse_object, read_body
from producers.gateway.openapi import request_body
from producers.gateway.ports import CallingService, GivenPorts, IdempotencyKey
from producers.gateway.responses import CHANGE_ANSWERS, LOOK_ANSWERS, Answers
from producers.gateway.validation import checked
from schemas.money import format_decimal
from schemas.odoo_rpc import Refused

router = APIRouter(prefix="/api/billing/v1", tags=["invoices"])

_ID_MAX = 2**31 - 1
_OFFSET_MAX = 10**6

Answer = TypeVar("Answer")
InvoiceId = Annotated[int, Path(ge=1, le=_ID_MAX)]
_AppText = Annotated[str | None, Query(min_length=1, max_length=255)]
_PDF: Answers = {200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}}


@router.get("/invoices", responses=LOOK_ANSWERS)
async def list_invoices(  # noqa: PLR0913, PLR0917 -- each is a filter of the query
    service: CallingService,
    ports: GivenPorts,
    subscription: _AppText = None,
    customer: _AppText = None,
    state: Literal["draft", "posted", "cancel"] | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=_OFFSET_MAX)] = 0,
) -> InvoicesAnswer:
    """List the service's invoices and credit notes, the newest first; by subscription, customer or state."""
    filters: dict[str, Any] = {"subscription": subscription, "customer": customer, "state": state}
    page = await ports.odoo.call(lambda odoo: odoo.list_invoices(service, **filters, limit=limit, offset=offset))
    return InvoicesAnswer.model_validate(_granted(page))


@router.get("/invoices/{invoice_id}", responses=LOOK_ANSWERS)
async def get_invoice(invoice_id: InvoiceId, service: CallingService, ports: GivenPorts) -> OneInvoiceAnswer:
    """Show one invoice with its lines."""
    return OneInvoiceAnswer.model_validate(await _known(ports, service, invoice_id))


@router.get("/invoices/{invoice_id}/pdf", responses=CHANGE_ANSWERS | _PDF, response_class=Response)
async def invoice_pdf(invoice_id: InvoiceId, service: CallingService, ports: GivenPorts) -> Response:
    """Return a posted invoice as PDF."""
    await _known(ports, service, invoice_id)
    pdf = _granted(await ports.odoo.call(lambda odoo: odoo.invoice_pdf(service, invoice_id)))
    disposition = f'attachment; filename="invoice-{invoice_id}.pdf"'
    headers = {"Content-Disposition": disposition}
    return Response(base64.b64decode(pdf["content"]), media_type="application/pdf", headers=headers)


@router.post("/invoices/{invoice_id}/void", responses=CHANGE_ANSWERS)
async def void_invoice(invoice_id: InvoiceId, service: CallingService, ports: GivenPorts) -> OneInvoiceAnswer:
    """Withdraw an unpaid invoice. Its usage is invoiced again; to let usage go, make a credit note instead."""
    await _known(ports, service, invoice_id)
    answer = await ports.odoo.call(lambda odoo: odoo.void_invoice(service, invoice_id))
    return OneInvoiceAnswer.model_validate(_granted(answer))


@router.post("/invoices/{invoice_id}/retry", responses=CHANGE_ANSWERS)
async def retry_payment(
    invoice_id: InvoiceId, service: CallingService, ports: GivenPorts, idempotency_key: IdempotencyKey = None
) -> OneInvoiceAnswer:
    """Try again to collect what is due with the customer's saved payment method; once per `Idempotency-Key`.

    Without that header each call is an attempt of its own.
    """
    await _known(ports, service, invoice_id)
    answer = await ports.odoo.call(lambda odoo: odoo.retry_payment(service, invoice_id, idempotency_key))
    return OneInvoiceAnswer.model_validate(_granted(answer))


@router.post("/credit-notes", responses=CHANGE_ANSWERS, openapi_extra=request_body(CreditNoteRequest))
async def create_credit_note(request: Request, service: CallingService, ports: GivenPorts) -> OneInvoiceAnswer:
    """Credit a posted invoice, in full or in part; the same `request_id` again answers the same credit note."""
    wanted = checked(CreditNoteRequest, parse_object(await read_body(request, ports.settings.gateway_body_bytes_max)))
    await _known(ports, service, wanted.invoice_id)
    amount = None if wanted.amount is None else format_decimal(wanted.amount)
    answer = await ports.odoo.call(
        lambda odoo: odoo.create_credit_note(
            service, wanted.invoice_id, wanted.request_id, amount=amount, reason=wanted.reason
        )
    )
    return OneInvoiceAnswer.model_validate(_granted(answer))


async def _known(ports: GivenPorts, service: str, invoice_id: int) -> Any:
    """Return Odoo's answer about an invoice of the service; another service's is as unknown as one that is not there.

    Raises:
        ApiError: 404.
    """
    answer = await ports.odoo.call(lambda odoo: odoo.get_invoice(service, invoice_id))
    if answer["status"] != "ok":
        raise not_found(answer["error"])
    return answer


def _granted(answer: Answer | Refused) -> Any:
    """Return the answer unless it is a refusal.

    Raises:
        ApiError: 409, in Odoo's words: nothing was changed.
    """
    told = cast("dict[str, Any]", answer)
    if told["status"] != "ok":
        raise conflict(told["error"], told.get("field"))
    return told
