"""A service with one charge and many subscriptions in Odoo, and the overage that is sent for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from deploy.bench.common.errors import BenchmarkFailed
from deploy.bench.common.kafka_io import Outgoing
from schemas.catalog import ChargeModel
from schemas.derived import Overage, Version
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.local.odoo_rpc import OdooSession

SERVICE = "bench"
METRIC = "api_calls"
PLAN_CODE = "bench-plan"
PARTITIONS = 4
_PERIOD = (datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC))
_QUOTA = Decimal(5_000_000)
_PRICE = Decimal("0.1")
_BATCH = Decimal(1000)
_SUBSCRIPTIONS_PER_CUSTOMER = 5
_CHUNK = 200


@dataclass(frozen=True, slots=True)
class Books:
    """Subscriptions `sub-00000` … of one service, confirmed; orders in Odoo."""

    charge: str
    currency: str
    subscriptions: Sequence[str]
    api_key: str

    def overage(self, subscription: str, cents: int, turn: int) -> Overage:
        """What the meter would publish in its `turn`-th publication; 10 cents per started thousand over the quota."""
        batches = Decimal(cents) / 10
        return Overage(
            service=SERVICE,
            subscription=subscription,
            metric=METRIC,
            charge=self.charge,
            period_start=_PERIOD[0],
            period_end=_PERIOD[1],
            version=Version(1, turn, 0),
            total=_QUOTA + batches * _BATCH,
            quota=_QUOTA,
            billable_units=batches * _BATCH,
            batches=batches,
            batch_size=_BATCH,
            price_per_unit=_PRICE,
            charge_model=ChargeModel.STANDARD,
            amount=Decimal(cents) / 100,
            currency=self.currency,
            counters=3,
        )


def outgoing(overage: Overage) -> Outgoing:
    """The record, on the partition where the meter puts it: that of its subscription."""
    place = partition_of(usage_key(overage.service, overage.subscription), PARTITIONS)
    return Outgoing(overage.model_dump_json().encode(), overage.key.encode(), place)


def make_books(admin: OdooSession, subscriptions: int) -> Books:
    """Create it all, in Odoo's own way."""
    service = admin.call("fusion.billing.service", "create", {"name": "Bench", "code": SERVICE})
    plan = admin.call("sale.subscription.plan", "create", {"name": "Every month, bench"})
    metric = admin.call("fusion.billing.metric", "create", {"name": "Calls", "code": METRIC, "service_id": service})
    terms = {
        "name": "Calls over quota",
        "service_id": service,
        "plan_code": PLAN_CODE,
        "metric_id": metric,
        "included_quota": float(_QUOTA),
        "unit_batch": float(_BATCH),
        "price_per_unit": float(_PRICE),
    }
    charge = admin.call("fusion.billing.charge", "create", terms)
    names = [f"sub-{number:05d}" for number in range(subscriptions)]
    orders = _make_orders(admin, names, {"plan_id": plan, "x_fc_service_id": service})
    [facts] = admin.call("fusion.billing.charge", "read", [charge], ["code"])
    [order] = admin.call("sale.order", "read", orders[:1], ["currency_id", "subscription_state"])
    if order["subscription_state"] != "3_progress":
        raise BenchmarkFailed(f"a confirmed subscription is {order['subscription_state']}")
    api_key = admin.call("fusion.billing.service", "action_generate_api_key", [service])
    return Books(facts["code"], order["currency_id"][1], names, api_key)


def _make_orders(admin: OdooSession, names: Sequence[str], values: dict[str, Any]) -> list[int]:
    [province] = admin.call("res.company", "search_read", [], ["country_id", "state_id"], limit=1)
    place = {name: province[name][0] for name in ("country_id", "state_id")}
    customers = admin.call(
        "res.partner",
        "create",
        [{"name": f"Customer {number}", **place} for number in range(-(-len(names) // _SUBSCRIPTIONS_PER_CUSTOMER))],
    )
    orders: list[int] = []
    for start in range(0, len(names), _CHUNK):
        chunk = [
            {
                **values,
                "partner_id": customers[number // _SUBSCRIPTIONS_PER_CUSTOMER],
                "x_fc_external_id": names[number],
                "x_fc_plan_code": PLAN_CODE,
                "start_date": "2026-07-01",
                "user_id": False,
            }
            for number in range(start, min(start + _CHUNK, len(names)))
        ]
        made = admin.call("sale.order", "create", chunk)
        admin.call("sale.order", "action_confirm", made)
        orders += made
    return orders
