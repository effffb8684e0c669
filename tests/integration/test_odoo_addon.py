"""What the addon promises to calls that come at the same time, against a real Odoo."""

import hashlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
import pytest

from deploy.adapters.odoo import OdooRpcTransport
from producers.gateway.key_uses import KeyUses
from schemas.errors import OdooUnavailable
from schemas.odoo_rpc import CustomerRow, OdooBilling
from schemas.settings import load
from tests.integration.odoo_harness import OdooBooks, make_books, unpaid_invoice
from tests.stack.odoo import OdooServer
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.odoo

CALLERS = 4
WITHIN_S = 90.0
Answer = TypeVar("Answer")


@pytest.fixture(scope="module")
def books(odoo: OdooServer) -> OdooBooks:
    """Return a service with one subscription."""
    return make_books(odoo, 1)


def billing(odoo: OdooServer) -> OdooBilling:
    """Return a connection of the pipeline's user."""
    return OdooBilling(OdooRpcTransport(load(odoo.variables())))


def at_once(odoo: OdooServer, ask: Callable[[OdooBilling], Answer]) -> list[Answer]:
    """Return the answers of callers that ask at the same time, each again as long as Odoo says that it may."""

    def insist(_: int) -> Answer:
        mine = billing(odoo)

        def once() -> list[Answer]:
            try:
                return [ask(mine)]
            except OdooUnavailable as error:
                raise AssertionError(str(error)) from error

        return wait_until(once, WITHIN_S, "an answer")[0]

    with ThreadPoolExecutor(CALLERS) as threads:
        return list(threads.map(insist, range(CALLERS)))


def test_a_new_customer_that_comes_at_once_from_everywhere_is_one(odoo: OdooServer, books: OdooBooks) -> None:
    """One partner and one link, also when two services meet the customer at the same time."""
    other = f"{books.service}-b"
    odoo.call("fusion.billing.service", "create", {"name": other, "code": other})
    email = f"{secrets.token_hex(4)}@client.example"
    rows = [CustomerRow(service=name, external_id="new", name="New", email=email) for name in (books.service, other)]
    answers = at_once(odoo, lambda mine: mine.upsert_customers(rows))
    partners = {result["partner_id"] for answer in answers for result in answer}
    assert len(partners) == 1, answers
    assert odoo.call("res.partner", "search_count", [["email", "=", email]]) == 1
    assert odoo.call("fusion.billing.account.link", "search_count", [["partner_id", "in", list(partners)]]) == 2


def test_a_payment_that_is_asked_for_twice_at_once_is_asked_for_once(odoo: OdooServer, books: OdooBooks) -> None:
    """The customer's bank has not decided yet; each caller hears of the one attempt."""
    invoice = unpaid_invoice(books)
    answers = at_once(odoo, lambda mine: mine.retry_payment(books.service, invoice))
    assert [answer.get("payment_state") for answer in answers] == ["pending"] * CALLERS, answers
    assert odoo.call("payment.transaction", "search_count", [["invoice_ids", "in", [invoice]]]) == 1


def test_nobody_asks_for_a_payment_while_another_call_does(odoo: OdooServer, books: OdooBooks) -> None:
    """A provider that takes its time holds the attempt; whoever comes meanwhile is told to come again."""
    invoice = unpaid_invoice(books, "done")
    names = ["provider_id", "payment_method_id", "partner_id"]
    [token] = odoo.call("payment.token", "search_read", [], names, limit=1, order="id desc")
    attempt = {name: token[name][0] for name in names}
    [due] = odoo.call("account.move", "read", [invoice], ["amount_residual", "currency_id"])
    money = {"amount": due["amount_residual"], "currency_id": due["currency_id"][0]}
    which = {"token_id": token["id"], "operation": "offline", "invoice_ids": [[6, 0, [invoice]]]}
    cut_off = {"reference": secrets.token_hex(6), "x_fc_request_id": "attempt-of-somebody"}
    transaction = odoo.call("payment.transaction", "create", attempt | money | which | cut_off)
    with odoo.stack.postgres.odoo.connect(odoo.database) as other, other.transaction():
        other.execute("SELECT 1 FROM payment_transaction WHERE id = %s FOR UPDATE", [transaction])
        with pytest.raises(OdooUnavailable):
            billing(odoo).retry_payment(books.service, invoice)
    assert odoo.call("payment.transaction", "read", [transaction], ["state"])[0]["state"] == "draft"
    answer = billing(odoo).retry_payment(books.service, invoice)
    assert answer.get("payment_state") == "done", answer
    assert odoo.call("payment.transaction", "search", [["invoice_ids", "in", [invoice]]]) == [transaction]


def test_the_last_use_of_a_key_is_shown_and_publishes_nothing(odoo: OdooServer, books: OdooBooks) -> None:
    """What the gateway notes reaches the key; the catalog, which the feed would publish, stays as it was."""
    [service] = odoo.call("fusion.billing.service", "search", [["code", "=", books.service]])
    key = odoo.call("fusion.billing.service", "action_generate_api_key", [service])

    def service_facts() -> list[Any]:
        found: list[Any] = odoo.call("fusion.billing.service", "read", [service], ["write_date", "key_ids"])
        return found

    [before] = service_facts()
    uses = KeyUses(lambda: 1_793_000_000.0)
    uses.note(hashlib.sha256(key.encode()).hexdigest())
    uses.tell(billing(odoo))
    [shown] = odoo.call("fusion.billing.service.key", "read", before["key_ids"], ["last_used_at"])
    assert shown["last_used_at"] == "2026-10-26 07:33:20"
    assert service_facts() == [before]


def test_an_event_whose_transaction_commits_late_is_read_all_the_same(odoo: OdooServer, books: OdooBooks) -> None:
    """Its id is the smaller one, and events with greater ids were read and acknowledged before it appeared."""
    mine, login = billing(odoo), odoo.stack.postgres.odoo
    [service] = odoo.call("fusion.billing.service", "search", [["code", "=", books.service]])
    late, early = (f"{name}-{secrets.token_hex(4)}" for name in ("late", "early"))

    def emit(connection: psycopg.Connection[Any], event_id: str) -> None:
        connection.execute(
            "INSERT INTO fusion_billing_event (event_id, event_type, time, service_id, data) "
            "VALUES (%s, 'invoice.paid', NOW(), %s, '{}')",
            [event_id, service],
        )

    def read() -> dict[str, int]:
        return {event["event_id"]: event["id"] for event in mine.read_outbox(1000)}

    with login.connect(odoo.database) as slow, login.connect(odoo.database) as fast:
        slow.autocommit = fast.autocommit = False
        emit(slow, late)
        emit(fast, early)
        fast.commit()
        seen = read()
        assert early in seen
        assert late not in seen
        mine.acknowledge_outbox(list(seen.values()))
        slow.commit()
    after = read()
    assert late in after
    assert early not in after
    assert after[late] < seen[early]
