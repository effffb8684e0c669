"""Rows and answers of the Odoo addon's batch methods: the shapes of the calls of `schemas.odoo_rpc`."""

from typing import Any, Literal, NotRequired, TypedDict


class EndpointFacts(TypedDict):
    """Where a service's webhooks go; no event types: all of them."""

    id: int
    url: str
    event_types: list[str]


class EndpointAnswer(TypedDict):
    """A service's endpoint, null where it has none; `secret` only where one was made, this once."""

    status: Literal["ok"]
    endpoint: EndpointFacts | None
    secret: NotRequired[str | None]


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


class SameOverageRow(TypedDict):
    """An overage of which but for its version Odoo holds every word; `fingerprint` is Odoo's own name for those words.

    Odoo takes note of the version if that is still true, and otherwise answers "incomplete": then the whole row is due.
    """

    key: str
    version: list[int]
    fingerprint: str


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
    parks its row; nothing overwrites it. `fingerprint` names what an accepted row says besides its version.
    """

    key: str
    status: LineStatus | Literal["incomplete"]
    order_id: int | None
    line_id: int | None
    revision: int
    amount: str
    invoiced_amount: str
    error: NotRequired[str]
    fingerprint: NotRequired[str]


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
