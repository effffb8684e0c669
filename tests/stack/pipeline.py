"""The whole product at work: a broker and an Odoo of the tests' own, and every role as a process of its own."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography.fernet import Fernet

from deploy.local.layout import Layout
from deploy.local.ports import HOST, Ports
from deploy.local.processes import Processes
from deploy.local.progress import Progress
from deploy.local.roles import Roles
from deploy.local.settings import REPOSITORY, LocalSettings
from tests.stack.kafka import Broker, private_broker
from tests.stack.reading import read_cold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.odoo import OdooServer

SERVICE = "maps"
METRIC = "api_calls"
PERIOD_START = "2026-07-01T00:00:00Z"
"""Subscriptions start here and are billed monthly in UTC; counters of the tests lie in July 2026."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """All roles, running."""

    broker: Broker
    odoo: OdooServer
    roles: Roles
    api_key: str
    plan: int

    def post(self, path: str, body: Any, key: str | None = None) -> httpx.Response:
        """Send JSON (or raw bytes) to the gateway with the service's key."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(
            f"{self.roles.gateway_url}/api/billing/v1/{path}",
            content=content,
            headers={"Authorization": f"Bearer {key or self.api_key}", "Content-Type": "application/json"},
            timeout=20,
        )

    def get(self, path: str) -> httpx.Response:
        """Ask the gateway with the service's key."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        return httpx.get(f"{self.roles.gateway_url}/api/billing/v1/{path}", headers=headers, timeout=20)

    def subscribe(self, **terms: Any) -> str:
        """Make a charge with these terms, under a plan code of its own, and a subscription; returns its external id."""
        name = f"sub-{secrets.token_hex(4)}"
        metric = self.odoo.call("fusion.billing.metric", "search", [["code", "=", METRIC]])[0]
        charge = {
            "name": "Calls",
            "plan_code": name,
            "metric_id": metric,
            "charge_model": "standard",
            "included_quota": 0,
            "unit_batch": 1000,
            "price_per_unit": 0.10,
        }
        self.odoo.call("fusion.billing.charge", "create", charge | terms)
        assert (
            self.post("customers", {"external_id": "acme", "email": "ops@acme.example"}).status_code == httpx.codes.OK
        )
        answer = self.post(
            "subscriptions",
            {
                "external_customer_id": "acme",
                "external_id": name,
                "plan_id": self.plan,
                "plan_code": name,
                "start_date": PERIOD_START[:10],
                "lines": [],
            },
        )
        assert answer.json()["status"] == "ok", answer.text
        return name

    def use(self, subscription: str, quantity: str, key: str = "k1") -> httpx.Response:
        """Send one counter of July."""
        event = {
            "subscription_external_id": subscription,
            "metric_code": METRIC,
            "quantity": quantity,
            "period_start": "2026-07-05T00:00:00Z",
            "period_end": "2026-07-05T01:00:00Z",
            "idempotency_key": key,
        }
        return self.post("usage", {"events": [event]})

    def lines(self, subscription: str) -> list[Decimal]:
        """Amounts before tax of our lines on the subscription's order, as Odoo holds them."""
        where = [["order_id.x_fc_external_id", "=", subscription], ["x_fc_overage_key", "!=", False]]
        found = self.odoo.call("sale.order.line", "search_read", where, ["price_subtotal"])
        return [Decimal(str(line["price_subtotal"])) for line in found]

    def usage(self, subscription: str) -> list[Decimal]:
        """Totals of the subscription, as finance sees them."""
        where = [["subscription_id.x_fc_external_id", "=", subscription]]
        found = self.odoo.call("fusion.billing.usage", "search_read", where, ["quantity"])
        return [Decimal(str(row["quantity"])) for row in found]

    def records(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """Key and value of every committed record that a topic holds now."""
        return [(record.key, record.value) for record in read_cold(self.broker.bootstrap, f"billing.{topic}")]


@pytest.fixture(scope="module")
def pipeline(odoo: OdooServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Every role at work between a private broker and a fresh Odoo; all gone afterwards."""
    service = odoo.call("fusion.billing.service", "create", {"name": "Maps", "code": SERVICE})
    odoo.call("fusion.billing.metric", "create", {"name": "API calls", "code": METRIC, "aggregation": "sum"})
    api_key = odoo.call("fusion.billing.service", "action_generate_api_key", [service])
    monthly = [["billing_period_value", "=", 1], ["billing_period_unit", "=", "month"]]
    with private_broker(tmp_path_factory.mktemp("broker")) as broker:
        roles = _roles(tmp_path_factory)
        try:
            roles.ensure_running(_variables(broker, odoo, roles))
            yield Pipeline(
                broker=broker,
                odoo=odoo,
                roles=roles,
                api_key=api_key,
                plan=odoo.call("sale.subscription.plan", "search", monthly)[0],
            )
        finally:
            roles.stop()


def _roles(tmp_path_factory: pytest.TempPathFactory) -> Roles:
    layout = Layout(repository=REPOSITORY, stack=tmp_path_factory.mktemp("roles"))
    layout.create()
    ports = Ports(layout.run / "ports.json", {})
    return Roles(layout, LocalSettings(), ports, Processes(layout), Progress())


def _variables(broker: Broker, odoo: OdooServer, roles: Roles) -> dict[str, str]:
    return odoo.variables() | {
        "FUSION_KAFKA_BOOTSTRAP": broker.bootstrap,
        "FUSION_TOPIC_PARTITIONS": "2",
        "FUSION_GATEWAY_HOST": HOST,
        "FUSION_GATEWAY_PORT": str(roles.ports.of("gateway")),
        "FUSION_GATEWAY_ACK_TIMEOUT_S": "2",
        "FUSION_METER_DATA_DIR": str(roles.layout.data / "meter"),
        "FUSION_METER_FLUSH_S": "0.2",
        "FUSION_CATALOG_POLL_S": "0.3",
        "FUSION_SECRET_KEY": Fernet.generate_key().decode(),
        "FUSION_WEBHOOK_ALLOW_PRIVATE": "true",
    }
