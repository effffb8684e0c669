"""Finance's side of the demo, in Odoo: the catalog, the line, the invoice, the payment."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from deploy.local.demo.app import METRIC, PLAN_CODE, QUOTA

if TYPE_CHECKING:
    from deploy.local.odoo_rpc import OdooSession


@dataclass(frozen=True, slots=True)
class Bill:
    """An order's overage line, or an invoice: amounts as Odoo holds them."""

    id: int
    name: str
    subtotal: Decimal
    tax: Decimal
    total: Decimal
    state: str


@dataclass(frozen=True, slots=True)
class Shop:
    """A person of the billing group who works in Odoo alone."""

    odoo: OdooSession

    def set_up_catalog(self) -> int:
        """See to metric and charge of the plan `maps-business`; returns the monthly recurrence."""
        metric = self._ensure("fusion.billing.metric", {"code": METRIC}, {"name": "API calls", "aggregation": "sum"})
        every_month = [["billing_period_value", "=", 1], ["billing_period_unit", "=", "month"]]
        monthly = self._one("sale.subscription.plan", every_month)
        self._ensure(
            "fusion.billing.charge",
            {"plan_code": PLAN_CODE, "metric_id": metric},
            {
                "name": "API calls over quota",
                "included_quota": QUOTA,
                "price_per_unit": 0.10,
                "unit_batch": 1000,
                "charge_model": "standard",
                "currency_id": self.odoo.id_of("base.CAD"),
            },
        )
        return monthly

    def set_webhook(self, service: str, url: str, secret: str | None) -> None:
        """Point the service's webhooks at an address, signed with this secret; without one it stays as it is."""
        [found] = self.odoo.call("fusion.billing.service", "search", [["code", "=", service]])
        facts = {"webhook_url": url} | ({"webhook_secret": secret} if secret else {})
        self.odoo.call("fusion.billing.service", "write", [found], facts)

    def overage_line(self, order: int) -> Bill | None:
        """Return the order's overage line, if it is there yet."""
        fields = ["name", "price_subtotal", "price_tax", "price_total", "x_fc_key"]
        where = [["order_id", "=", order], ["x_fc_key", "!=", False]]
        found = self.odoo.call("sale.order.line", "search_read", where, fields)
        if len(found) > 1:
            raise ValueError(f"order {order} has {len(found)} overage lines, must have one")
        return _bill(found[0], "price_subtotal", "price_tax", "price_total", state="") if found else None

    def counted(self, order: int) -> Decimal:
        """Return the total that finance sees for the order."""
        found = self.odoo.call("fusion.billing.usage", "search_read", [["subscription_id", "=", order]], ["quantity"])
        return Decimal(repr(found[0]["quantity"])) if found else Decimal(0)

    def invoice_next_period(self, order: int) -> Bill | None:
        """Invoice the order's next period as the nightly job would; null where there was nothing to bill."""
        ids = self.odoo.call("sale.order", "action_invoice_subscription", [order])
        return self.invoice(ids[0]) if ids else None

    def invoice(self, invoice: int) -> Bill:
        """Return an invoice as it stands."""
        fields = ["name", "amount_untaxed", "amount_tax", "amount_total", "payment_state"]
        [found] = self.odoo.call("account.move", "read", [invoice], fields)
        return _bill(found, "amount_untaxed", "amount_tax", "amount_total", state=found["payment_state"])

    def pay(self, invoice: int, *, succeeds: bool) -> None:
        """Let the customer's (simulated) card be charged for the invoice."""
        [move] = self.odoo.call("account.move", "read", [invoice], ["amount_residual", "currency_id", "partner_id"])
        outcome = "done" if succeeds else "error"
        count = self.odoo.call("payment.transaction", "search_count", [["invoice_ids", "in", [invoice]]])
        transaction = self.odoo.call(
            "payment.transaction",
            "create",
            {
                "provider_id": self._one("payment.provider", [["code", "=", "demo"]]),
                "payment_method_id": self._one("payment.method", [["code", "=", "demo"]]),
                "amount": move["amount_residual"],
                "currency_id": move["currency_id"][0],
                "partner_id": move["partner_id"][0],
                "invoice_ids": [[6, 0, [invoice]]],
                "reference": f"demo-{invoice}-{count + 1}",
                "operation": "online_direct",
            },
        )
        self.odoo.call("payment.transaction", f"action_demo_set_{outcome}", [transaction])
        if succeeds:
            job = self.odoo.id_of("payment.cron_post_process_payment_tx")
            self.odoo.call("ir.cron", "method_direct_trigger", [job])

    def _ensure(self, model: str, identity: dict[str, Any], values: dict[str, Any]) -> int:
        where = [[name, "=", value] for name, value in identity.items()]
        found = self.odoo.call(model, "search", where, limit=1)
        return int(found[0] if found else self.odoo.call(model, "create", {**identity, **values}))

    def _one(self, model: str, where: list[Any]) -> int:
        return int(self.odoo.call(model, "search", where, limit=1)[0])


def _bill(record: dict[str, Any], subtotal: str, tax: str, total: str, state: str) -> Bill:
    return Bill(
        id=record["id"],
        name=record["name"],
        subtotal=_money(record[subtotal]),
        tax=_money(record[tax]),
        total=_money(record[total]),
        state=state,
    )


def _money(amount: float) -> Decimal:
    """Return an amount as Odoo shows it; its JSON carries floats."""
    return Decimal(repr(amount)).quantize(Decimal("0.01"))
