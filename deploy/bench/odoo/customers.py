"""New customers through the gateway: from the first request to the last answer, some at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx

from deploy.bench.common.errors import BenchmarkFailed
from deploy.bench.common.waiting import wait_until
from deploy.bench.odoo.books import SERVICE
from deploy.local.ports import HOST, draw_free_port

if TYPE_CHECKING:
    from deploy.bench.odoo.books import Books
    from deploy.bench.odoo.scenario import Scenario
    from deploy.local.odoo_rpc import OdooSession

_AT_A_TIME = 4
_TIMEOUT_S = 60.0
_KEY_KNOWN_WITHIN_S = 60.0


def customers_per_s(scenario: Scenario, books: Books, count: int) -> tuple[float, list[str]]:
    """New customers linked per second, and what is wrong with what Odoo holds afterwards."""
    port = draw_free_port()
    url = f"http://{HOST}:{port}/api/billing/v1"
    headers = {"Authorization": f"Bearer {books.api_key}"}
    with (
        scenario.role("odoo-feed"),
        scenario.role("gateway", FUSION_GATEWAY_HOST=HOST, FUSION_GATEWAY_PORT=str(port)),
        httpx.Client(headers=headers, timeout=_TIMEOUT_S) as client,
        ThreadPoolExecutor(_AT_A_TIME) as pool,
    ):

        def upsert(number: int) -> int:
            body = {"external_id": f"c-{number}", "name": f"Company {number}", "email": f"ops{number}@bench.example"}
            answer = client.post(f"{url}/customers", json=body)
            if answer.status_code != httpx.codes.OK:
                raise BenchmarkFailed(f"the gateway answered {answer.status_code}: {answer.text[:300]}")
            return int(answer.json()["partner_id"])

        wait_until(lambda: client.get(f"{url}/plans").is_success, _KEY_KNOWN_WITHIN_S, "the gateway knows the key")
        list(pool.map(upsert, range(-_AT_A_TIME, 0)))  # each of its connections to Odoo is made once
        began_s = time.monotonic()
        partners = list(pool.map(upsert, range(count)))
        took_s = time.monotonic() - began_s
        again = list(pool.map(upsert, range(0, count, max(1, count // 20))))
    return count / took_s, _faults(scenario.odoo.admin, partners, again)


def _faults(admin: OdooSession, partners: list[int], again: list[int]) -> list[str]:
    links = admin.call(
        "fusion.billing.account.link",
        "search_read",
        [["service_id.code", "=", SERVICE]],
        ["external_id", "partner_id", "external_email"],
    )
    held = {link["external_id"]: link["partner_id"][0] for link in links}
    faults = [
        f"customer c-{number} is partner {held.get(f'c-{number}')} in Odoo, answered {partner}"
        for number, partner in enumerate(partners)
        if held.get(f"c-{number}") != partner
    ]
    if len(set(partners)) != len(partners):
        faults.append("two customers share a partner")
    if not set(again) <= set(partners):
        faults.append("a customer that was sent again got another partner")
    return faults[:5]
