"""A service with one charge and its subscriptions in a real Odoo, for the tests of the Odoo sink."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from deploy.adapters.odoo import OdooRpcTransport
from schemas.catalog import ChargeModel
from schemas.derived import Overage, Version
from schemas.odoo_rpc import CustomerRow, OdooBilling, SingleInvoiceLine, SubscriptionRow
from schemas.settings import load
from tests.stack.odoo import OdooServer
from tests.stack.waiting import wait_until

PLAN_CODE = "maps-test"
PERIOD_START = datetime(2026, 7, 1, tzinfo=UTC)
PERIOD_END = datetime(2026, 8, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OdooBooks:
    """One service of the test's own; subscriptions `sub-0` … exist as confirmed orders."""

    odoo: OdooServer
    service: str
    charge: str
    currency: str

    def overage(self, subscription: str, amount: str, offset: int = 1) -> Overage:
        """Return a rated charge of 0.10 per started 1000 over 5,000,000; `offset` is its age."""
        batches = Decimal(amount) * 10
        return Overage(
            service=self.service,
            subscription=subscription,
            metric="test_calls",
            charge=self.charge,
            period_start=PERIOD_START,
            period_end=PERIOD_END,
            version=Version(1, offset, 0),
            total=5_000_000 + batches * 1000,
            quota=Decimal(5_000_000),
            billable_units=batches * 1000,
            batches=batches,
            batch_size=Decimal(1000),
            price_per_unit=Decimal("0.1"),
            charge_model=ChargeModel.STANDARD,
            amount=Decimal(amount),
            currency=self.currency,
            counters=3,
        )

    def record(self, subscription: str, amount: str, offset: int = 1) -> tuple[str, bytes]:
        """Return the same as key and value of `overage.v1`."""
        overage = self.overage(subscription, amount, offset)
        return overage.key, overage.model_dump_json().encode()

    def lines(self, subscription: str) -> list[dict[str, Any]]:
        """Our lines on the subscription's order, as a person in Odoo sees them."""
        where = [
            ["order_id.x_fc_external_id", "=", subscription],
            ["order_id.x_fc_service_id.code", "=", self.service],
            ["x_fc_overage_key", "!=", False],
        ]
        fields = ["price_unit", "product_uom_qty", "price_subtotal", "name"]
        found: list[dict[str, Any]] = self.odoo.call("sale.order.line", "search_read", where, fields)
        return found

    def amounts(self, subscription: str) -> list[float]:
        """The lines' amounts before tax."""
        return [line["price_subtotal"] for line in self.lines(subscription)]

    def wait_for_line(self, subscription: str, amount: float, within_s: float = 60.0) -> None:
        """Return once the subscription's order has exactly one line of ours, with this amount."""
        wait_until(
            lambda: self.amounts(subscription) == [amount],
            within_s,
            f"one line of {amount} for {subscription}",
        )


def make_books(odoo: OdooServer, subscriptions: int) -> OdooBooks:
    """Create a service, a metric, a charge, a customer and confirmed subscriptions."""
    service = f"maps-{secrets.token_hex(4)}"
    plan = odoo.call("sale.subscription.plan", "create", {"name": f"Every month {service}"})
    service_id = odoo.call("fusion.billing.service", "create", {"name": service, "code": service})
    metric_facts = {"name": "Calls", "code": "test_calls", "service_id": service_id}
    metric = odoo.call("fusion.billing.metric", "create", metric_facts)
    charge = odoo.call(
        "fusion.billing.charge",
        "create",
        {
            "name": "Calls over quota",
            "service_id": service_id,
            "plan_code": PLAN_CODE,
            "metric_id": metric,
            "included_quota": 5_000_000,
            "unit_batch": 1000,
            "price_per_unit": 0.1,
        },
    )
    billing = OdooBilling(OdooRpcTransport(load(odoo.variables())))
    billing.upsert_customers([CustomerRow(service=service, external_id="c1", name="Acme", email="ops@acme.example")])
    results = billing.create_subscriptions(
        [
            SubscriptionRow(
                service=service,
                external_customer_id="c1",
                plan_id=plan,
                plan_code=PLAN_CODE,
                external_id=f"sub-{number}",
                start_date="2026-07-01",
                lines=[],
            )
            for number in range(subscriptions)
        ]
    )
    assert {result["status"] for result in results} == {"ok"}, results
    [order] = odoo.call("sale.order", "read", [results[0]["subscription_id"]], ["currency_id"])
    [charge_facts] = odoo.call("fusion.billing.charge", "read", [charge], ["code"])
    return OdooBooks(odoo, service, charge_facts["code"], order["currency_id"][1])


def unpaid_invoice(books: OdooBooks, outcome: str = "pending") -> int:
    """Return a posted invoice over 25.00 of the customer c1, whose saved payment method ends like this."""
    product = books.odoo.call("product.product", "create", {"name": "Throttle removal", "type": "service"})
    line = SingleInvoiceLine(product_id=product, quantity="1", unit_price="25.00")
    billing = OdooBilling(OdooRpcTransport(load(books.odoo.variables())))
    answer = billing.create_invoice(books.service, "c1", secrets.token_hex(4), [line])
    assert answer["status"] == "ok", answer
    save_payment_method(books.odoo, answer["invoice"]["id"], outcome)
    return answer["invoice"]["id"]


def save_payment_method(odoo: OdooServer, invoice: int, outcome: str) -> None:
    """Give an invoice's customer a saved method of the demo provider; collecting with it ends like this."""
    provider = odoo.admin.id_of("payment.payment_provider_demo")
    odoo.call("payment.provider", "write", [provider], {"state": "test", "allow_tokenization": True})
    [method] = odoo.call("payment.method", "search", [["code", "=", "demo"]], limit=1)
    [move] = odoo.call("account.move", "read", [invoice], ["partner_id"])
    token = {"provider_id": provider, "payment_method_id": method, "partner_id": move["partner_id"][0]}
    saved = {"provider_ref": "saved", "payment_details": "1234", "demo_simulated_state": outcome}
    odoo.call("payment.token", "create", token | saved)
