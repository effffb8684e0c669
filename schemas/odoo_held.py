"""What the Odoo addon holds of overage: the shapes of the reading call of `schemas.odoo_rpc`. Amounts are texts."""

from typing import Literal, TypedDict


class HeldInvoiceLine(TypedDict):
    """What an invoice or credit note asks or gives back for one order line, before tax."""

    id: int
    number: str | None
    type: Literal["invoice", "credit_note"]
    state: Literal["draft", "posted", "cancel"]
    payment_state: str | None
    amount: str


class HeldLine(TypedDict):
    """One revision: `amount` is what the pipeline wrote, `shown` what the customer is asked for."""

    id: int
    revision: int
    order_id: int
    order: str
    amount: str
    shown: str
    invoices: list[HeldInvoiceLine]


class HeldUsage(TypedDict):
    """What stands for one overage key.

    `total` and `amount` are those of the accepted record of `version` (empty: none was); `shows_total` tells whether
    people see that total; `booked` is what lines, credits and waivers stand for, `refunded` what credit notes gave
    back; `error` why the last record is parked.
    """

    key: str
    version: list[int]
    state: str
    error: str | None
    total: str
    shows_total: bool
    amount: str
    booked: str
    refunded: str
    currency: str
    lines: list[HeldLine]
