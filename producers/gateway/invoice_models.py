"""Invoices and credit notes as the gateway shows them; amounts are decimal strings in the invoice's currency."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from producers.gateway.models import DECIMAL_SCHEMA, AppId, OdooId, Text
from schemas.usage import Quantity

REASON_CHARACTERS_MAX = 255


class InvoiceLineAnswer(BaseModel):
    """One line; a line of usage bears its overage key, charge and period, any other null there."""

    id: int
    name: str
    quantity: str
    unit_price: str
    amount: str
    amount_total: str
    taxes: list[dict[str, str]]
    overage_key: str | None
    charge: str | None
    period_start: str | None
    period_end: str | None


class InvoiceFacts(BaseModel):
    """An invoice or credit note; `lines` are null in lists."""

    # Written out beside `schemas.odoo_invoices.Invoice`: what apps see changes by intent only, and is one service's.
    id: int
    number: str | None
    type: Literal["invoice", "credit_note"]
    state: Literal["draft", "posted", "cancel"]
    payment_state: str | None
    subscription: str | None
    customer: str | None
    created_at: str
    invoice_date: str | None
    due_date: str | None
    currency: str
    amount_untaxed: str
    amount_tax: str
    amount_total: str
    amount_due: str
    reversed_invoice_id: int | None
    request_id: str | None
    lines: list[InvoiceLineAnswer] | None = None


class InvoicesAnswer(BaseModel):
    """A page, the newest first; `total` counts all that match."""

    status: Literal["ok"] = "ok"
    invoices: list[InvoiceFacts]
    total: int


class OneInvoiceAnswer(BaseModel):
    """One invoice; after a retried payment also what became of the attempt."""

    status: Literal["ok"] = "ok"
    invoice: InvoiceFacts
    payment_state: str | None = None


class CreditNoteRequest(BaseModel):
    """Money to give back: all that is left of the invoice, or `amount` before tax; once per `request_id`."""

    invoice_id: OdooId
    request_id: AppId
    amount: Annotated[Quantity, WithJsonSchema(DECIMAL_SCHEMA)] | None = None
    reason: Annotated[Text, Field(max_length=REASON_CHARACTERS_MAX)] | None = None
