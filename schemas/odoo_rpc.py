"""The RPC surface of the Odoo addon `fusion_billing`, as its callers see it.

All of it sits on one abstract model, `fusion.billing.api`, whose public methods take and return lists of plain
dicts (JSON: text, whole numbers, booleans, null; amounts and quantities as decimal strings, times as RFC 3339 UTC
with ``Z``). Every method checks the group *pipeline* first. A call is one transaction; inside it each row has its
own savepoint and its own status, so one bad row never takes its neighbours along. All writes are idempotent: a
caller that saw a timeout calls again.

`OdooTransport` is the port: whoever composes a role hands in an adapter (odoorpc today, JSON-2 later).
"""

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, Protocol, TypedDict, cast

from schemas.odoo_held import HeldUsage
from schemas.odoo_invoices import (
    Invoice,
    InvoiceAnswer,
    InvoiceLine,
    InvoicePage,
    InvoicePdf,
    Refused,
    SingleInvoiceLine,
)

__all__ = [
    "API_MODEL",
    "CatalogPage",
    "CatalogRecord",
    "CustomerResult",
    "CustomerRow",
    "Invoice",
    "InvoiceAnswer",
    "InvoiceLine",
    "InvoicePage",
    "InvoicePdf",
    "KeyUse",
    "LineResult",
    "LineStatus",
    "OdooBilling",
    "OdooTransport",
    "OutboxEvent",
    "OverageRow",
    "ProductLine",
    "Refused",
    "SingleInvoiceLine",
    "SubscriptionRef",
    "SubscriptionResult",
    "SubscriptionRow",
]

API_MODEL = "fusion.billing.api"


class OdooTransport(Protocol):
    """One authenticated connection to one Odoo database. Not thread-safe: one per thread."""

    def call(self, model: str, method: str, kwargs: dict[str, Any]) -> Any:
        """Call a public method by keywords and return its JSON result.

        Raises:
            OdooUnavailable: network, time-out, conflict or lock; the same call may succeed later.
            OdooRefused: Odoo understood and said no; the same call will fail again.
        """
        ...


class CustomerRow(TypedDict):
    """A customer of an app: `external_id` is unique within the service; e-mail matches case-insensitively."""

    service: str
    external_id: str
    name: NotRequired[str | None]
    email: NotRequired[str | None]


class CustomerResult(TypedDict):
    """What became of one `CustomerRow`; `partner_id` is null when `status` is "error"."""

    external_id: str
    status: Literal["ok", "error"]
    partner_id: int | None
    error: NotRequired[str]
    field: NotRequired[str]


class ProductLine(TypedDict):
    """One recurring product on a new subscription; quantity as decimal string."""

    product_id: int
    quantity: str


class SubscriptionRow(TypedDict):
    """A subscription to create (or to find again: one order per service and external id)."""

    service: str
    external_customer_id: str
    plan_id: int
    plan_code: NotRequired[str | None]
    external_id: NotRequired[str | None]
    start_date: NotRequired[str | None]
    lines: list[ProductLine]


class SubscriptionResult(TypedDict):
    """What became of one `SubscriptionRow`; an order made without external id answers its numeric id."""

    external_id: str | None
    status: Literal["ok", "error"]
    subscription_id: int | None
    subscription_state: str | None
    error: NotRequired[str]
    field: NotRequired[str]


class SubscriptionRef(TypedDict):
    """A subscription by the app's own id."""

    service: str
    external_id: str


class KeyUse(TypedDict):
    """When a bearer key, by its SHA-256 (hex), was last used."""

    key_hash: str
    used_at: str


class OverageRow(TypedDict):
    """One rated charge of one period, as `billing.overage.v1` carries it; `key` is that record's key."""

    key: str
    version: list[int]
    service: str
    subscription: str
    charge: str
    metric: str
    period_start: str
    period_end: str
    total: str
    quota: str
    billable_units: str
    batches: str
    batch_size: str
    price_per_unit: str
    charge_model: str
    amount: str
    currency: str
    counters: int


LineStatus = Literal[
    "created",  # a new line (first revision, or a positive difference after invoicing)
    "updated",  # the not yet invoiced line has the new amount
    "unchanged",  # Odoo held this already
    "nothing",  # amount 0 and no line to change
    "stale",  # Odoo knows a newer version of this key
    "credited",  # a negative difference after invoicing is kept as pending credit
    "parked",  # refused for a reason a person must mend; `error` says which
]


class LineResult(TypedDict):
    """What Odoo holds for one `OverageRow` after the call; amounts are decimal strings in `currency`.

    `order_id` is the order that bears the line: the subscription's own, while it is paused, too; the renewal that it
    goes on in; a final order without plan after it was closed. `amount` counts lines, pending credits, what credit
    notes gave back and what a person changed by hand and accepted. A line that a person changed and nobody accepted
    parks its row; nothing overwrites it.
    """

    key: str
    status: LineStatus
    order_id: int | None
    line_id: int | None
    revision: int
    amount: str
    invoiced_amount: str
    error: NotRequired[str]


class DeliveryRow(TypedDict):
    """A webhook delivery as finance sees it; one per event and endpoint."""

    service: str
    event_id: str
    endpoint: int
    event_type: str
    payload: str
    state: Literal["pending", "delivered", "dead"]
    attempts: int
    next_retry_at: NotRequired[str | None]
    last_status: NotRequired[int | None]
    last_error: NotRequired[str | None]


class DeliveryResult(TypedDict):
    """What became of one `DeliveryRow`."""

    event_id: str | None
    status: Literal["ok", "error"]
    error: NotRequired[str]


class ReplayRequest(TypedDict):
    """A delivery that a person in Odoo wants made again; `id` is for the report."""

    id: int
    event_id: str
    endpoint: int


class ReplayReport(TypedDict):
    """A replay is on its way, or `error` says why there is none."""

    id: int
    error: NotRequired[str]


class CatalogRecord(TypedDict):
    """One catalog record: `key` is ``kind/odoo id``; `value` is null for one that is gone.

    The shapes of `value` per kind are the models of `schemas.catalog`, except that an endpoint carries its
    secrets in clear as ``secrets: [text]``: the feed seals them before anything leaves it.
    """

    key: str
    value: dict[str, Any] | None


class CatalogPage(TypedDict):
    """Answer of `fc_catalog`; `full` says that records not named here no longer exist."""

    records: list[CatalogRecord]
    cursor: str
    full: bool


class OutboxEvent(TypedDict):
    """One lifecycle event from the outbox; `id` is the row, `event_id` the stable public id (a UUID)."""

    id: int
    event_id: str
    type: str
    time: str
    service: str
    subscription: str | None
    customer: str | None
    data: dict[str, Any]


class OdooBilling:
    """Typed calls of the addon's public methods over any transport. Errors are those of `OdooTransport.call`."""

    def __init__(self, transport: OdooTransport) -> None:
        self._transport = transport

    def catalog(self, since: str | None = None) -> CatalogPage:
        """All catalog records, or with `since` (a former page's cursor) those that may have changed after it."""
        return cast("CatalogPage", self._call("fc_catalog", since=since))

    def upsert_customers(self, rows: Sequence[CustomerRow]) -> list[CustomerResult]:
        """Link each external account to one partner: by external id, else by e-mail, else a new one."""
        return cast("list[CustomerResult]", self._call("fc_upsert_customers", rows=list(rows)))

    def create_subscriptions(self, rows: Sequence[SubscriptionRow]) -> list[SubscriptionResult]:
        """Create and confirm each subscription, or answer the one that has this external id already."""
        return cast("list[SubscriptionResult]", self._call("fc_create_subscriptions", rows=list(rows)))

    def cancel_subscriptions(self, rows: Sequence[SubscriptionRef]) -> list[SubscriptionResult]:
        """Let each running subscription end with the period that is invoiced already."""
        return cast("list[SubscriptionResult]", self._call("fc_cancel_subscriptions", rows=list(rows)))

    def terminate_subscriptions(self, rows: Sequence[SubscriptionRef]) -> list[SubscriptionResult]:
        """End each subscription now; usage that is not invoiced yet goes to a final order."""
        return cast("list[SubscriptionResult]", self._call("fc_terminate_subscriptions", rows=list(rows)))

    def reactivate_subscriptions(self, rows: Sequence[SubscriptionRef]) -> list[SubscriptionResult]:
        """Take each ended subscription up again, or let one that was to end go on."""
        return cast("list[SubscriptionResult]", self._call("fc_reactivate_subscriptions", rows=list(rows)))

    def note_key_uses(self, rows: Sequence[KeyUse]) -> None:
        """Show when keys were last used; unknown keys and earlier times are passed over."""
        self._call("fc_note_key_uses", rows=list(rows))

    def list_invoices(
        self,
        service: str,
        *,
        subscription: str | None = None,
        customer: str | None = None,
        state: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> InvoicePage | Refused:
        """Invoices and credit notes of a service, at most 200 per page."""
        filters = {"subscription": subscription, "customer": customer, "state": state}
        answer = self._call("fc_list_invoices", service=service, **filters, limit=limit, offset=offset)
        return cast("InvoicePage | Refused", answer)

    def get_invoice(self, service: str, invoice_id: int) -> InvoiceAnswer | Refused:
        """One invoice with its lines; another service's is as unknown as one that does not exist."""
        return cast("InvoiceAnswer | Refused", self._call("fc_get_invoice", service=service, invoice_id=invoice_id))

    def invoice_pdf(self, service: str, invoice_id: int) -> InvoicePdf | Refused:
        """The posted invoice as PDF."""
        return cast("InvoicePdf | Refused", self._call("fc_invoice_pdf", service=service, invoice_id=invoice_id))

    def void_invoice(self, service: str, invoice_id: int) -> InvoiceAnswer | Refused:
        """Withdraw an unpaid invoice; its usage is invoiced again. To let usage go, make a credit note instead."""
        return cast("InvoiceAnswer | Refused", self._call("fc_void_invoice", service=service, invoice_id=invoice_id))

    def retry_payment(self, service: str, invoice_id: int, request_id: str | None = None) -> InvoiceAnswer | Refused:
        """Try to collect the amount due with the customer's saved payment method; once per `request_id`, if given.

        While an attempt is under way it is answered and no second one made.
        """
        what = {"invoice_id": invoice_id, "request_id": request_id}
        return cast("InvoiceAnswer | Refused", self._call("fc_retry_payment", service=service, **what))

    def create_credit_note(
        self, service: str, invoice_id: int, request_id: str, *, amount: str | None = None, reason: str | None = None
    ) -> InvoiceAnswer | Refused:
        """Credit what is left of a posted invoice, or `amount` before tax; once per `request_id` of the service."""
        what = {"invoice_id": invoice_id, "request_id": request_id, "amount": amount, "reason": reason}
        return cast("InvoiceAnswer | Refused", self._call("fc_create_credit_note", service=service, **what))

    def create_invoice(
        self,
        service: str,
        customer: str,
        request_id: str,
        lines: Sequence[SingleInvoiceLine],
        currency: str | None = None,
    ) -> InvoiceAnswer | Refused:
        """Make and post a single invoice for a customer; once per `request_id` of the service."""
        what = {"customer": customer, "request_id": request_id, "lines": list(lines), "currency": currency}
        return cast("InvoiceAnswer | Refused", self._call("fc_create_invoice", service=service, **what))

    def upsert_lines(self, rows: Sequence[OverageRow]) -> list[LineResult]:
        """Bring each charge's order line to the row's amount; results in the order of `rows` (≤ 500)."""
        return cast("list[LineResult]", self._call("fc_upsert_lines", rows=list(rows)))

    def read_lines(self, *, keys: Sequence[str] = (), line_ids: Sequence[int] = ()) -> list[HeldUsage]:
        """What Odoo holds of overage keys, or of order lines by id (≤ 500); what it does not know is left out."""
        return cast("list[HeldUsage]", self._call("fc_read_lines", keys=list(keys), line_ids=list(line_ids)))

    def upsert_deliveries(self, rows: Sequence[DeliveryRow]) -> list[DeliveryResult]:
        """Show webhook deliveries; a row replaces what was shown of its event and endpoint."""
        return cast("list[DeliveryResult]", self._call("fc_upsert_deliveries", rows=list(rows)))

    def take_replays(self, limit: int = 50) -> list[ReplayRequest]:
        """Deliveries that people want made again; what is not reported within two minutes is handed out again."""
        return cast("list[ReplayRequest]", self._call("fc_take_replays", limit=limit))

    def report_replays(self, rows: Sequence[ReplayReport]) -> None:
        """End the requests of `take_replays`."""
        self._call("fc_report_replays", rows=list(rows))

    def read_outbox(self, limit: int = 200) -> list[OutboxEvent]:
        """The oldest events that are not acknowledged yet, at most `limit`."""
        return cast("list[OutboxEvent]", self._call("fc_outbox_read", limit=limit))

    def acknowledge_outbox(self, ids: Sequence[int]) -> None:
        """Mark events as published, after Kafka acknowledged them."""
        self._call("fc_outbox_ack", ids=list(ids))

    def _call(self, method: str, **kwargs: Any) -> Any:
        return self._transport.call(API_MODEL, method, kwargs)
