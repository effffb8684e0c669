"""What Odoo holds against what was sent, read back through Odoo's own search: no code shared with the sink."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deploy.local.odoo_rpc import OdooSession
    from schemas.derived import Overage

_SHOWN_MAX = 5


def faults_of(held: Iterable[Mapping[str, Any]], sent: Mapping[str, Overage]) -> list[str]:
    """Each difference in words, the first few; none if every key has its one line with its newest amount.

    `held`: lines as Odoo shows them, with `x_fc_overage_key`, `price_subtotal`, `x_fc_version` and the order's name.
    """
    lines = list(held)
    counts = Counter(line["x_fc_overage_key"] for line in lines)
    faults = [f"{key} has {count} lines" for key, count in counts.items() if count > 1]
    faults += [f"{key} has no line" for key in sent if key not in counts]
    for line in lines:
        overage = sent.get(line["x_fc_overage_key"])
        if overage is None:
            faults.append(f"{line['x_fc_overage_key']} was never sent")
        elif Decimal(str(line["price_subtotal"])) != overage.amount:
            faults.append(f"{overage.key} is {line['price_subtotal']}, sent {overage.amount}")
        elif line["external_id"] != overage.subscription:
            faults.append(f"{overage.key} is on the order of {line['external_id']}")
    return faults[:_SHOWN_MAX]


def lines_held(admin: OdooSession) -> list[dict[str, Any]]:
    """All lines of ours in this Odoo."""
    lines: list[dict[str, Any]] = admin.call(
        "sale.order.line",
        "search_read",
        [["x_fc_overage_key", "!=", False]],
        ["x_fc_overage_key", "price_subtotal", "order_id"],
    )
    orders = admin.call("sale.order", "read", sorted({line["order_id"][0] for line in lines}), ["x_fc_external_id"])
    names = {order["id"]: order["x_fc_external_id"] for order in orders}
    return [line | {"external_id": names[line["order_id"][0]]} for line in lines]


def versions_held(admin: OdooSession) -> dict[str, str]:
    """The version Odoo has accepted last, by key."""
    usages = admin.call("fusion.billing.usage", "search_read", [], ["key", "version"])
    return {usage["key"]: usage["version"] for usage in usages}


def version_faults(held: Mapping[str, str], sent: Mapping[str, Overage]) -> list[str]:
    """Each key whose newest version Odoo does not have, the first few."""
    return [
        f"{key}: Odoo has version {held.get(key)}, sent {list(overage.version)}"
        for key, overage in sent.items()
        if held.get(key) != ".".join(map(str, overage.version))
    ][:_SHOWN_MAX]
