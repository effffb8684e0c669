"""The app's side of the demo: a customer and a subscription over HTTP, counters over HTTP and the SDK, a receiver."""

from __future__ import annotations

import base64
import json
import secrets
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from deploy.local import programs
from deploy.local.ports import HOST
from deploy.local.processes import Launch
from deploy.local.stack import DEMO_APP
from producers.sdk import UsageClient
from schemas.periods import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.local.stack import Stack

METRIC = "api_calls"
PLAN_CODE = "maps-business"
QUOTA = 5_000_000
CALLS_PER_COUNTER = 1_000
COUNTERS = 6_000
WRONG_COUNTERS = 250
"""So many counters are sent with a wrong quantity first and corrected afterwards."""

_EVENTS_PER_REQUEST = 1_000
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Sent:
    """What the app sent: counters over HTTP and over the SDK, how many with a second value, and the sum of the last."""

    http: int
    sdk: int
    corrected: int
    quantity: int


@dataclass(frozen=True, slots=True)
class App:
    """NexaMaps, as far as billing sees it."""

    gateway_url: str
    api_key: str
    kafka_bootstrap: str
    service: str

    def create_customer(self, external_id: str) -> int:
        """Make the customer known; returns the partner it is in Odoo."""
        body = {"external_id": external_id, "name": "Aurora Geodata", "email": f"{external_id}@aurora.example"}
        return int(self._post("customers", body)["partner_id"])

    def create_subscription(self, customer: str, external_id: str, plan_id: int, start: datetime) -> int:
        """Subscribe the customer to the plan; returns the order it is in Odoo."""
        body = {
            "external_customer_id": customer,
            "external_id": external_id,
            "plan_id": plan_id,
            "plan_code": PLAN_CODE,
            "start_date": start.date().isoformat(),
            "lines": [],
        }
        return int(self._post("subscriptions", body)["subscription_id"])

    def send_usage(self, subscription: str, since: datetime) -> Sent:
        """Send 6,000,000 calls in many counters, half over HTTP and half through the SDK.

        Every counter is sent twice, as after a time-out; some quantities are wrong at first, then corrected.
        """
        wrong, right = list(_counters(subscription, since, wrong=True)), list(_counters(subscription, since))
        half = len(right) // 2
        for counters in (wrong[:half], right[:half]):
            self._send_http(counters)
        with UsageClient(self.service, bootstrap=self.kafka_bootstrap) as client:
            for counters in (wrong[half:], right[half:]):
                for counter in counters:
                    client.add(**counter)
                client.flush(timeout_s=_TIMEOUT_S)
        return Sent(
            http=2 * half,
            sdk=2 * (len(right) - half),
            corrected=sum(first["quantity"] != last["quantity"] for first, last in zip(wrong, right, strict=True)),
            quantity=sum(counter["quantity"] for counter in right),
        )

    def _send_http(self, counters: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(counters), _EVENTS_PER_REQUEST):
            events = [
                {
                    "subscription_external_id": counter["subscription"],
                    "metric_code": counter["metric"],
                    **{name: counter[name] for name in counter if name not in ("subscription", "metric")},
                }
                for counter in counters[start : start + _EVENTS_PER_REQUEST]
            ]
            self._post("usage", {"events": events})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = httpx.post(
            f"{self.gateway_url}/api/billing/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=_TIMEOUT_S,
        )
        answer.raise_for_status()
        return answer.json()


def receiver_url(stack: Stack) -> str:
    """Return where the app's webhook receiver listens, or will listen."""
    running = stack.processes.pid(DEMO_APP) is not None
    port = stack.ports.of(DEMO_APP) if running else stack.ports.before_start(DEMO_APP)
    return f"http://{HOST}:{port}"


def start_receiver(stack: Stack) -> str | None:
    """Start the app's webhook receiver, if it does not run, and return its secret; it stays up to be looked at."""
    secret = None
    if stack.processes.pid(DEMO_APP) is None:
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        launch = Launch(
            argv=[sys.executable, "-m", "producers.adapters.control_loop", "--port", str(stack.ports.of(DEMO_APP))],
            env={**programs.clean_environment(), "FUSION_WEBHOOK_SECRET": secret},
            cwd=stack.layout.repository,
        )
        stack.processes.start(DEMO_APP, launch)
    return secret


def status_of(receiver_url: str, subscription: str) -> str | None:
    """What the app does for a subscription, as far as webhooks told it: active, suspended, or null for no word yet."""
    try:
        state = json.loads(httpx.get(f"{receiver_url}/state", timeout=_TIMEOUT_S).content)
    except (httpx.TransportError, ValueError):
        return None
    return state.get(subscription, {}).get("status")  # type: ignore[no-any-return]


def _counters(subscription: str, since: datetime, *, wrong: bool = False) -> Iterator[dict[str, Any]]:
    """Yield five-minute counters; a correction carries revision 1 and so beats any late repeat of the wrong one."""
    for index in range(COUNTERS):
        is_wrong = wrong and index % (COUNTERS // WRONG_COUNTERS) == 0
        corrected = index % (COUNTERS // WRONG_COUNTERS) == 0 and not wrong
        start = since + timedelta(minutes=5 * index)
        yield {
            "subscription": subscription,
            "metric": METRIC,
            "quantity": CALLS_PER_COUNTER * (7 if is_wrong else 1),
            "period_start": format_instant(start),
            "period_end": format_instant(start + timedelta(minutes=5)),
            "idempotency_key": f"{subscription}-{index}",
            "revision": int(corrected),
        }
