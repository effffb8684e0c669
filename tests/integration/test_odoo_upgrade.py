"""The addon's way through a database: from its first version to this one, and out again.

The first version's files are `data/addons-19.0.1.0.0.tar.xz`, as they were, without tests and pictures.
"""

import json
import re
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy.local.odoo_config import Installation, Server
from deploy.local.stack import Stack

pytestmark = [pytest.mark.odoo, pytest.mark.timeout(600)]

FIRST_VERSION = Path(__file__).with_name("data") / "addons-19.0.1.0.0.tar.xz"
PERIOD = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
_TROUBLE = re.compile(r"^\S+ \S+ \d+ (?:WARNING|ERROR|CRITICAL) .*", re.MULTILINE)
_ANSWER = "answer:"

# What somebody had in Odoo: a service with key and webhook, a subscription with 100.00 of usage, a delivery.
USE_FIRST_VERSION = """
service = env["fusion.billing.service"].create(
    {"name": "Maps", "code": "maps", "webhook_url": "https://app.example/hook"}
)
key = service.action_generate_api_key()
metric = env["fusion.billing.metric"].create({"name": "Calls", "code": "calls"})
charge = env["fusion.billing.charge"].create(
    {"name": "Calls", "service_id": service.id, "plan_code": "maps", "metric_id": metric.id, "code": "calls",
     "included_quota": 5000000, "unit_batch": 1000, "price_per_unit": 0.1}
)
plan = env["sale.subscription.plan"].create({"name": "Every month"})
billing = env["fusion.billing.api"]
billing.fc_upsert_customers(rows=[{"service": "maps", "external_id": "c1", "name": "Acme", "email": "a@x.example"}])
billing.fc_create_subscriptions(
    rows=[{"service": "maps", "external_customer_id": "c1", "plan_id": plan.id, "plan_code": "maps",
           "external_id": "sub-1", "start_date": "2026-11-01", "lines": []}]
)
env["res.partner"].search([("email", "=", "a@x.example")]).tz = "America/Toronto"
billing.fc_upsert_deliveries(
    rows=[{"service": "maps", "event_id": "e1", "event_type": "invoice.paid", "payload": "{}", "state": "dead",
           "attempts": 8}]
)
answer = {"key_hash": service.api_key_hash, "secret": service.webhook_secret,
          "lines": billing.fc_upsert_lines(rows=[ROW])}
"""

LOOK_AT_THIS_VERSION = """
billing = env["fusion.billing.api"]
service = env["fusion.billing.service"].search([("code", "=", "maps")])
[same] = billing.fc_upsert_lines(rows=[{**ROW, "version": [0, 2, 0]}])
[more] = billing.fc_upsert_lines(rows=[{**MORE, "version": [0, 3, 0]}])
order = env["sale.order"].search([("x_fc_external_id", "=", "sub-1")])
order.partner_id.tz = "Asia/Tokyo"
invoice = order._create_invoices()
invoice.action_post()
answer = {
    "same": same, "more": more, "total": invoice.amount_total,
    "events": billing.fc_outbox_read(), "deliveries": env["fusion.billing.webhook"].search_read([], ["endpoint"]),
    "service": service.id, "invoice": invoice.id, "order": order.id,
    "key_hashes": service._fc_key_hashes(), "secrets": service._fc_secrets(),
    "time_zone": order._fc_time_zone(),
}
"""

USE_NATIVE_ODOO = """
invoice, order = env["account.move"].browse(INVOICE), env["sale.order"].browse(ORDER)
other = env["sale.order"].create(
    {"partner_id": order.partner_id.id,
     "order_line": [(0, 0, {"product_id": order.order_line.product_id[-1:].id, "price_unit": 10.0})]}
)
other.order_line.product_id.recurring_invoice = False
other.action_confirm()
bill = other._create_invoices()
bill.action_post()
note = invoice._reverse_moves([{"invoice_date": "2026-12-01"}])
note.action_post()
env.flush_all()
env.cr.execute("SELECT relname FROM pg_class WHERE relname LIKE 'fusion_billing%'")
left = [name for (name,) in env.cr.fetchall()]
env.cr.execute("SELECT table_name || '.' || column_name FROM information_schema.columns WHERE column_name LIKE 'x_fc%'")
left += [name for (name,) in env.cr.fetchall()]
left += env["ir.model.data"].search([("module", "=", "fusion_billing")]).mapped("name")
answer = {
    "left": left, "lines": order.order_line.mapped("price_unit"), "invoice": [invoice.state, invoice.amount_total],
    "bill": [bill.state, bill.amount_untaxed], "note": note.amount_total,
}
"""


def row(amount: str, units: int) -> dict[str, Any]:
    """Return what the sink says of November."""
    start, end = PERIOD
    return {
        "key": f"maps/sub-1/calls/{start}",
        "version": [0, 1, 0],
        "service": "maps",
        "subscription": "sub-1",
        "charge": "calls",
        "metric": "calls",
        "period_start": start,
        "period_end": end,
        "total": str(5_000_000 + units),
        "quota": "5000000",
        "billable_units": str(units),
        "batches": str(units // 1000),
        "batch_size": "1000",
        "price_per_unit": "0.1",
        "charge_model": "standard",
        "amount": amount,
        "currency": "CAD",
        "counters": 3,
    }


@dataclass(frozen=True, slots=True)
class Commands:
    """Odoo's command line on one database, with the addons of one folder."""

    odoo: Installation
    database: str

    def run(self, *words: str, command: str = "server", script: str = "") -> str:
        """Run a command that must succeed and complain of nothing; return what it said."""
        config = self.odoo.layout.run / f"{self.database}.conf"
        self.odoo.write_config(config, Server(self.database, port=0, gevent_port=0))
        argv = self.odoo.argv(*command.split(), "-c", str(config), *words)
        done = subprocess.run(
            argv, env=self.odoo.environment(), input=script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert not _TROUBLE.findall(done.stderr), done.stderr
        return done.stdout

    def shell(self, script: str, **names: Any) -> dict[str, Any]:
        """Run a script in Odoo's shell, with `names` defined; return its `answer`."""
        given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        end = f"env.cr.commit()\nimport json\nprint({_ANSWER!r} + json.dumps(answer, default=str))\n"
        said = self.run(command="shell", script=f"{given}{script}\n{end}")
        answers = [line.removeprefix(_ANSWER) for line in said.splitlines() if line.startswith(_ANSWER)]
        assert answers, said
        return dict(json.loads(answers[-1]))


@contextmanager
def copy_of(stack: Stack, template: str) -> Iterator[Commands]:
    """Give a new copy of a database and drop it in the end."""
    database = f"upgrade_{secrets.token_hex(6)}"
    with stack.locked():
        stack.templates.copy(template, database)
    try:
        yield Commands(stack.templates.odoo, database)
    finally:
        stack.templates.drop(database)


@dataclass(frozen=True, slots=True)
class History:
    """A database that had the first version and has this one: what it said before and after."""

    now: Commands
    before: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture(scope="module")
def history(stack: Stack, odoo_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Install the first version, use it, upgrade to this one, use that."""
    assert odoo_template
    files = tmp_path_factory.mktemp("first")
    with tarfile.open(FIRST_VERSION) as archive:
        archive.extractall(files)  # noqa: S202 -- our own
    with stack.locked():
        base = stack.templates.ensure_base()
    with copy_of(stack, base) as now:
        first = Commands(replace(now.odoo, layout=replace(now.odoo.layout, repository=files)), now.database)
        first.run("-i", "fusion_billing", "--stop-after-init", "--no-http", "--log-level=warn")
        before = first.shell(USE_FIRST_VERSION, ROW=row("100.00", 1_000_000))
        assert before["lines"][0]["status"] == "created", before
        now.run("-u", "sale_subscription,fusion_billing", "--stop-after-init", "--no-http", "--log-level=warn")
        after = now.shell(LOOK_AT_THIS_VERSION, ROW=row("100.00", 1_000_000), MORE=row("130.00", 1_300_000))
        yield History(now, before, after)


def test_what_was_billed_and_set_up_before_an_upgrade_holds_after_it(history: History) -> None:
    """The same usage is known, more of it changes the one line, and the invoice, key and delivery are as they were."""
    facts = history.after
    [webhook] = facts["deliveries"]
    assert (facts["same"]["status"], facts["same"]["amount"]) == ("unchanged", "100.00")
    assert (facts["more"]["status"], facts["more"]["line_id"]) == ("updated", facts["same"]["line_id"])
    assert facts["total"] == pytest.approx(146.90)
    assert facts["key_hashes"] == [history.before["key_hash"]]
    assert facts["secrets"] == [history.before["secret"]]
    assert facts["time_zone"] == "America/Toronto", "that of the time before"
    assert webhook["endpoint"] == facts["service"]
    assert {event["type"] for event in facts["events"]} >= {"subscription.started"}


def test_odoo_goes_on_without_the_addon(stack: Stack, history: History) -> None:
    """Uninstalled, it leaves no table, column or record; orders and invoices stay, and native work goes on."""
    with copy_of(stack, history.now.database) as mine:
        mine.run("fusion_billing", command="module uninstall")
        left = mine.shell(USE_NATIVE_ODOO, INVOICE=history.after["invoice"], ORDER=history.after["order"])
        assert left["left"] == []
        assert 130.0 in left["lines"]
        assert left["invoice"] == ["posted", pytest.approx(146.90)]
        assert left["bill"] == ["posted", 10.0]
        assert left["note"] == pytest.approx(146.90)
