"""A service with four customers and three months of usage in a real Odoo: something to look at."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from deploy.adapters.odoo import OdooRpcTransport
from schemas.money import format_decimal
from schemas.odoo_rpc import CustomerRow, DeliveryRow, OdooBilling, OverageRow, SubscriptionRow
from schemas.periods import format_instant
from schemas.settings import load
from tests.stack.odoo import OdooServer

SERVICE, PLAN_CODE = "nexamaps", "maps-business"
CUSTOMERS = ("Northern Freight", "Lakeside Couriers", "Prairie Survey", "Harbour Logistics")
# quota, batch, price per batch of each metric, and what each customer used in each of the three months.
METRICS = {
    "api_calls": ("API calls", 5_000_000, 1000, "0.10"),
    "map_tiles": ("Map tiles", 200_000, 1000, "0.25"),
}
USED = {
    "api_calls": [
        [5_218_000, 6_417_000, 7_204_000, 4_803_000],
        [4_970_000, 6_698_000, 7_000_000, 6_155_000],
        [5_422_000, 6_550_000, 7_936_000, 6_627_000],
    ],
    "map_tiles": [
        [181_000, 266_000, 390_000, 77_000],
        [140_000, 308_000, 449_000, 98_000],
        [163_000, 315_000, 422_000, 130_000],
    ],
}


@dataclass(frozen=True, slots=True)
class Shop:
    """Ids of what there is to look at."""

    service: int
    charge: int
    invoice: int
    order: int
    changed_usage: int
    customer: int


def month_starts() -> list[datetime]:
    """Return the beginnings of the last two months, the running one and the next."""
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    starts = [first, (first + timedelta(days=32)).replace(day=1)]
    for _ in range(2):
        starts.insert(0, (starts[0] - timedelta(days=1)).replace(day=1))
    return starts


def furnish(odoo: OdooServer) -> Shop:
    """Fill the database; as the pipeline where that is the pipeline's work, else as a person."""
    billing = OdooBilling(OdooRpcTransport(load(odoo.variables())))
    starts = month_starts()
    service, charges = _catalog(odoo)
    orders = _subscriptions(odoo, billing, starts[0])
    for month, (start, end) in enumerate(pairwise(starts)):
        rows = [_row(code, month, number, start, end) for code in METRICS for number in range(len(CUSTOMERS))]
        results = billing.upsert_lines(rows)
        assert {result["status"] for result in results} <= {"created", "nothing"}, results
        if end != starts[-1]:
            odoo.call("sale.order", "action_invoice_subscription", orders)
    _events_of_a_life(odoo, billing, starts)
    return _look_at(odoo, service, charges, orders)


def _catalog(odoo: OdooServer) -> tuple[int, list[int]]:
    facts = {"name": "NexaMaps", "code": SERVICE, "webhook_url": "https://api.nexamaps.example/billing/events"}
    service = odoo.call("fusion.billing.service", "create", facts)
    charges = []
    for code, (name, quota, batch, price) in METRICS.items():
        metric = odoo.call("fusion.billing.metric", "create", {"name": name, "code": code, "service_id": service})
        terms = {"included_quota": quota, "unit_batch": batch, "price_per_unit": float(price)}
        who = {"name": f"{name} over quota", "service_id": service, "plan_code": PLAN_CODE, "metric_id": metric}
        charges.append(odoo.call("fusion.billing.charge", "create", {**who, **terms}))
    return service, charges


def _subscriptions(odoo: OdooServer, billing: OdooBilling, start: datetime) -> list[int]:
    plan = odoo.call("sale.subscription.plan", "create", {"name": "Every month"})
    names = [(f"c{number}", name) for number, name in enumerate(CUSTOMERS, 1)]
    billing.upsert_customers(
        [
            CustomerRow(service=SERVICE, external_id=key, name=name, email=f"billing@{key}.example")
            for key, name in names
        ]
    )
    results = billing.create_subscriptions(
        [
            SubscriptionRow(
                service=SERVICE,
                external_customer_id=key,
                plan_id=plan,
                plan_code=PLAN_CODE,
                external_id=f"maps-{key}",
                start_date=f"{start:%F}",
                lines=[],
            )
            for key, _ in names
        ]
    )
    return [int(result["subscription_id"] or 0) for result in results]


def _row(code: str, month: int, number: int, start: datetime, end: datetime, more: int = 0) -> OverageRow:
    """Return what the sink says of a customer's month; with `more`, after that many units came late."""
    _, quota, batch, price = METRICS[code]
    total = USED[code][month][number] + more
    over = max(0, total - quota)
    batches = -(-over // batch)
    subscription = f"maps-c{number + 1}"
    charge = f"{PLAN_CODE}.{code}"
    return OverageRow(
        key=f"{SERVICE}/{subscription}/{charge}/{format_instant(start)}",
        version=[1, 2 if more else 1, 0],
        service=SERVICE,
        subscription=subscription,
        charge=charge,
        metric=code,
        period_start=format_instant(start),
        period_end=format_instant(end),
        total=str(total),
        quota=str(quota),
        billable_units=str(over),
        batches=str(batches),
        batch_size=str(batch),
        price_per_unit=price,
        charge_model="standard",
        amount=format_decimal((batches * Decimal(price)).quantize(Decimal("0.01"))),
        currency="CAD",
        counters=total // 5557,
    )


def _events_of_a_life(odoo: OdooServer, billing: OdooBilling, starts: list[datetime]) -> None:
    """A late counter, a correction downwards, a line changed by hand, a delivery that died."""
    billing.upsert_lines([_row("api_calls", 1, 0, starts[1], starts[2], more=100_000)])
    billing.upsert_lines([_row("api_calls", 1, 2, starts[1], starts[2], more=-300_000)])
    [line] = odoo.call("sale.order.line", "search", _lines_of("maps-c2", starts[2]), limit=1)
    odoo.call("sale.order.line", "write", [line], {"price_unit": 145.0})
    billing.upsert_lines([_row("api_calls", 2, 1, starts[2], starts[3], more=50_000)])
    delivery = DeliveryRow(
        service=SERVICE,
        event_id="8d1c9a52-2f0e-4d6f-9a35-6f1d2a7b0c11",
        endpoint=1,
        event_type="invoice.posted",
        payload='{"type": "invoice.posted"}',
        state="dead",
        attempts=8,
        last_status=503,
        last_error="the app answered 503",
    )
    delivered: DeliveryRow = {
        **delivery,
        "event_id": "4b7e0d1e-91c5-4a33-8f52-1f0c5b9d7a20",
        "state": "delivered",
        "attempts": 1,
        "last_status": 204,
        "last_error": None,
    }
    billing.upsert_deliveries([delivery, delivered])


def _lines_of(subscription: str, start: datetime) -> list[Any]:
    return [
        ["order_id.x_fc_external_id", "=", subscription],
        ["x_fc_period_start", "=", f"{start:%F %T}"],
        ["x_fc_charge_id.code", "=", f"{PLAN_CODE}.api_calls"],
    ]


def _look_at(odoo: OdooServer, service: int, charges: list[int], orders: list[int]) -> Shop:
    [invoice, *_] = odoo.call("account.move", "search", [["x_fc_subscription_id", "=", orders[2]]], order="id desc")
    [changed] = odoo.call("fusion.billing.usage", "search", [["state", "=", "parked"]])
    [order] = odoo.call("sale.order", "read", [orders[2]], ["partner_id"])
    return Shop(service, charges[0], invoice, orders[2], changed, order["partner_id"][0])
