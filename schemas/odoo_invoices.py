"""Invoices as the Odoo addon tells them: the shapes of the invoice calls of `schemas.odoo_rpc`."""

from typing import Literal, NotRequired, TypedDict


class InvoiceLine(TypedDict):
    """One line of an invoice. A line of usage bears its overage key, charge and period, any other null there."""

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


class Invoice(TypedDict):
    """An invoice or credit note of one service; amounts in `currency`, `amount_untaxed` + `amount_tax` = total.

    `subscription` is null on a single invoice. `lines` are missing in lists.
    """

    id: int
    number: str | None
    type: Literal["invoice", "credit_note"]
    state: Literal["draft", "posted", "cancel"]
    payment_state: str | None
    service: str
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
    lines: NotRequired[list[InvoiceLine]]


class Refused(TypedDict):
    """Answer of a call about one invoice that Odoo understood and refused; nothing was changed."""

    status: Literal["error"]
    error: str
    field: NotRequired[str]


class InvoicePage(TypedDict):
    """Invoices of a service, the newest first; `total` counts all that match."""

    status: Literal["ok"]
    invoices: list[Invoice]
    total: int


class InvoiceAnswer(TypedDict):
    """One invoice; after a retried payment also the state of the new payment transaction."""

    status: Literal["ok"]
    invoice: Invoice
    payment_state: NotRequired[str]


class InvoicePdf(TypedDict):
    """A posted invoice as PDF, in base64."""

    status: Literal["ok"]
    name: str
    content: str


class SingleInvoiceLine(TypedDict):
    """A line of a single invoice; decimal strings; without `unit_price` the product's price, before tax."""

    product_id: int
    quantity: str
    unit_price: NotRequired[str]
    name: NotRequired[str]
