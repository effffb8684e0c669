"""The RPC surface of the Odoo addon `fusion_billing`, as its callers see it.

All of it sits on one abstract model, `fusion.billing.api`, whose public methods take and return lists of plain
dicts (JSON: text, whole numbers, booleans, null; amounts and quantities as decimal strings, times as RFC 3339 UTC
with ``Z``). Every method checks the group *pipeline* first. A call is one transaction; inside it each row has its
own savepoint and its own status, so one bad row never takes its neighbours along. All writes are idempotent: a
caller that saw a timeout calls again.

`OdooTransport` is the port: whoever composes a role hands in an adapter (odoorpc today, JSON-2 later).
"""

from collections.abc import Sequence
from typing import Any, Protocol, cast

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
from schemas.odoo_rows import (
    CatalogPage,
    CatalogRecord,
    CustomerResult,
    CustomerRow,
    DeliveryResult,
    DeliveryRow,
    EndpointAnswer,
    EndpointFacts,
    KeyUse,
    LineResult,
    LineStatus,
    OutboxEvent,
    OverageRow,
    ProductLine,
    ReplayReport,
    ReplayRequest,
    SameOverageRow,
    SubscriptionRef,
    SubscriptionResult,
    SubscriptionRow,
)

__all__ = [
    "API_MODEL",
    "CatalogPage",
    "CatalogRecord",
    "CustomerResult",
    "CustomerRow",
    "DeliveryResult",
    "DeliveryRow",
    "EndpointAnswer",
    "EndpointFacts",
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
    "ReplayReport",
    "ReplayRequest",
    "SameOverageRow",
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

    def find_key(self, key_hash: str) -> str | None:
        """The code of the active service that has a live key with this SHA-256 (hex), or null."""
        return cast("str | None", self._call("fc_find_key", key_hash=key_hash)["service"])

    def get_endpoint(self, service: str) -> EndpointAnswer | Refused:
        """Where the service's webhooks go."""
        return cast("EndpointAnswer | Refused", self._call("fc_get_endpoint", service=service))

    def set_endpoint(self, service: str, url: str, event_types: Sequence[str] = ()) -> EndpointAnswer | Refused:
        """Send the service's webhooks there; a service that had no endpoint gets a secret, told this once."""
        what = {"url": url, "event_types": list(event_types)}
        return cast("EndpointAnswer | Refused", self._call("fc_set_endpoint", service=service, **what))

    def renew_endpoint_secret(self, service: str) -> EndpointAnswer | Refused:
        """Make a new secret, told this once; the former one signs, too, for the service's overlap."""
        return cast("EndpointAnswer | Refused", self._call("fc_renew_endpoint_secret", service=service))

    def delete_endpoint(self, service: str) -> EndpointAnswer | Refused:
        """Send the service no more webhooks; again changes nothing."""
        return cast("EndpointAnswer | Refused", self._call("fc_delete_endpoint", service=service))

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

    def upsert_lines(self, rows: Sequence[OverageRow | SameOverageRow]) -> list[LineResult]:
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
