"""The story in its order, with a progress line for each step and a verdict at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.table import Table

from deploy.local import env_file
from deploy.local.demo import app as app_side
from deploy.local.demo.shop import Bill, Shop
from deploy.local.errors import LocalStackError
from schemas.periods import add_months

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.local.stack import Stack

EXPECTED_CALLS = 6_000_000
EXPECTED_OVERAGE = Decimal("100.00")
EXPECTED_TAX = Decimal("13.00")
_PATIENCE_S = 90
_LOOK_EVERY_S = 0.3

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the closing table: what was expected and what Odoo, or the app, holds."""

    what: str
    expected: str
    found: str

    @property
    def agrees(self) -> bool:
        """Tell whether they are the same."""
        return self.expected == self.found


def tell(stack: Stack) -> list[Finding]:
    """Play the story on a running stack and return what came out, in the order of the story.

    Each run takes a new customer and subscription, so it can be told again and again.

    Raises:
        LocalStackError: a step did not happen in time; names the step and where to look.
    """
    environment = env_file.read(stack.layout.env_file)
    app = app_side.App(
        gateway_url=environment["FUSION_GATEWAY_URL"],
        api_key=environment["FUSION_API_KEY"],
        kafka_bootstrap=environment["FUSION_KAFKA_BOOTSTRAP"],
        service=environment["FUSION_SERVICE"],
    )
    shop, say = Shop(stack.odoo.admin), stack.progress.say
    run = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    customer, subscription = f"aurora-{run}", f"maps-{run}"

    plan = shop.set_up_catalog()
    receiver_url = app_side.receiver_url(stack)
    shop.set_webhook(app.service, f"{receiver_url}/webhooks", app_side.start_receiver(stack))
    say("catalog: plan maps-business, 5,000,000 api_calls included, then 0.10 CAD per started 1,000")

    today = datetime.now(UTC).date()
    period_start = add_months(today, -1)
    app.create_customer(customer)
    order = app.create_subscription(customer, subscription, plan, _at(period_start))
    shop.invoice_next_period(order)
    say(f"subscription {subscription} of {customer}: order {order}, current period {period_start} to {today}")

    with stack.progress.step("usage"):
        sent = app.send_usage(subscription, _at(period_start) + timedelta(days=1))
    say(
        f"sent {sent.http:,} counters over HTTP and {sent.sdk:,} through the SDK:"
        f" each twice, {sent.corrected} with a corrected quantity"
    )

    line = _wait(stack, "the overage line in Odoo", lambda: _when(shop.overage_line(order), EXPECTED_OVERAGE))
    say(f"Odoo has the line: {line.name.splitlines()[0]} = {line.subtotal} CAD")
    counted = shop.counted(order)

    invoice = shop.invoice_next_period(order)
    if invoice is None:
        raise LocalStackError(f"order {order} was not invoiced; look at it in Odoo")
    say(f"invoice {invoice.name}: {invoice.subtotal} + {invoice.tax} HST = {invoice.total} CAD")

    shop.pay(invoice.id, succeeds=False)
    suspended = _wait(stack, "the app to suspend", lambda: _is(receiver_url, subscription, "suspended"))
    say("payment failed; the app verified the webhook's signature and suspended")
    shop.pay(invoice.id, succeeds=True)
    restored = _wait(stack, "the app to restore", lambda: _is(receiver_url, subscription, "active"))
    say("paid; the app restored the service")

    paid = shop.invoice(invoice.id)
    return [
        Finding("calls sent, last values", f"{EXPECTED_CALLS:,}", f"{sent.quantity:,}"),
        Finding("calls counted, as Odoo shows them", f"{EXPECTED_CALLS:,}", f"{int(counted):,}"),
        Finding("line on the order", f"{EXPECTED_OVERAGE}", f"{line.subtotal}"),
        Finding("invoiced before tax", f"{EXPECTED_OVERAGE}", f"{paid.subtotal}"),
        Finding("HST 13 %", f"{EXPECTED_TAX}", f"{paid.tax}"),
        Finding("invoice total", f"{EXPECTED_OVERAGE + EXPECTED_TAX}", f"{paid.total}"),
        Finding("app after the failed payment", "suspended", suspended),
        Finding("app after the payment", "active", restored),
        Finding("payment state in Odoo", "paid", "paid" if paid.state in ("paid", "in_payment") else paid.state),
    ]


def show(stack: Stack, findings: list[Finding]) -> bool:
    """Print the closing table and where to look; tell whether everything agrees."""
    table = Table("", "expected", "found", "", title="What was sent, counted, billed and delivered")
    for finding in findings:
        mark = "[green]✓[/]" if finding.agrees else "[red]✗[/]"
        table.add_row(finding.what, finding.expected, finding.found, mark)
    console = Console()
    console.print(table)
    environment = env_file.read(stack.layout.env_file)
    login, password = environment["FUSION_ODOO_LOGIN"], environment["FUSION_ODOO_PASSWORD"]
    console.print(f"Odoo: {environment['FUSION_ODOO_URL']}/odoo (login {login}, password {password}), menu Billing")
    console.print(
        f"Gateway: {environment['FUSION_GATEWAY_URL']}/docs   App: http://127.0.0.1:{stack.ports.of('demo-app')}/state"
    )
    console.print("Stop everything: ./deploy/down")
    return all(finding.agrees for finding in findings)


def _when(line: Bill | None, subtotal: Decimal) -> Bill | None:
    """Return the line once it has arrived at its last value; on the way it may show sums of a moment before."""
    return line if line is not None and line.subtotal == subtotal else None


def _is(receiver_url: str, subscription: str, status: str) -> str | None:
    found = app_side.status_of(receiver_url, subscription)
    return found if found == status else None


def _at(day: date) -> datetime:
    return datetime.combine(day, time_of_day(), UTC)


def _wait(stack: Stack, what: str, look: Callable[[], Found | None]) -> Found:
    """Return what `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + _PATIENCE_S
    with stack.progress.step(f"waiting for {what}"):
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"{what}: not within {_PATIENCE_S} s; look at `fusion-billing status` and {stack.layout.log}"
                )
            time.sleep(_LOOK_EVERY_S)
    return found
