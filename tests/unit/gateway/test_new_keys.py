"""A key that was made a moment ago works at once; wrong keys cost Odoo next to nothing."""

import asyncio
import hashlib
import threading
from typing import Any

import httpx
import pytest

from producers.gateway.new_keys import NewKeys
from producers.gateway.odoo import OdooCalls
from producers.testing import FakeOdooTransport

NEW = "fus_live_made_a_moment_ago"
HASH = hashlib.sha256(NEW.encode()).hexdigest()


def _find_key(key_hash: str) -> dict[str, Any]:
    return {"service": "maps" if key_hash == HASH else None}


@pytest.fixture(autouse=True)
def _odoo_knows_the_new_key(odoo_transport: FakeOdooTransport) -> None:
    odoo_transport.answers["fc_find_key"] = _find_key


@pytest.fixture
def clock() -> list[float]:
    """Return the time, to be set."""
    return [100.0]


@pytest.fixture
def keys(odoo: OdooCalls, clock: list[float]) -> NewKeys:
    """Return the part by itself."""
    return NewKeys(odoo, lambda: clock[0])


async def test_a_key_that_the_catalog_does_not_name_yet_works(
    client: httpx.AsyncClient, odoo_transport: FakeOdooTransport
) -> None:
    """Odoo is asked once, by hash; then the answer lasts until the catalog has it."""
    for _ in range(3):
        answer = await client.get("/plans", headers={"Authorization": f"Bearer {NEW}"})
        assert answer.status_code == 200
    assert odoo_transport.calls == [("fc_find_key", {"key_hash": HASH})]


async def test_a_wrong_key_is_401_and_asked_for_once_a_second(
    keys: NewKeys, odoo_transport: FakeOdooTransport, clock: list[float]
) -> None:
    """Whatever is no key of ours at all is not asked for."""
    for _ in range(10):
        assert await keys.owner_of("fus_live_wrong") is None
        assert await keys.owner_of("nonsense") is None
        clock[0] += 0.15
    assert len(odoo_transport.calls) == 2


async def test_many_wrong_keys_cost_five_calls_a_second(
    keys: NewKeys, odoo_transport: FakeOdooTransport, clock: list[float]
) -> None:
    """Somebody who guesses."""
    for number in range(100):
        assert await keys.owner_of(f"fus_live_{number}") is None
        clock[0] += 0.01
    assert len(odoo_transport.calls) <= 6


async def test_whoever_comes_with_the_same_key_meanwhile_gets_the_same_answer(
    keys: NewKeys, odoo_transport: FakeOdooTransport
) -> None:
    """A new app rarely sends one request only; another key is refused meanwhile."""
    go_on = threading.Event()

    def slowly(key_hash: str) -> dict[str, Any]:
        assert go_on.wait(30)
        return _find_key(key_hash)

    odoo_transport.answers["fc_find_key"] = slowly
    asking = [asyncio.create_task(keys.owner_of(NEW)) for _ in range(5)]
    await asyncio.sleep(0)
    assert await keys.owner_of("fus_live_other") is None
    go_on.set()
    assert {owner and owner.service for owner in await asyncio.gather(*asking)} == {"maps"}
    assert len(odoo_transport.calls) == 1


async def test_while_odoo_is_away_an_unknown_key_is_refused(
    client: httpx.AsyncClient, odoo_transport: FakeOdooTransport
) -> None:
    """As without this; known keys go on."""
    odoo_transport.is_away = True
    assert (await client.get("/plans", headers={"Authorization": f"Bearer {NEW}"})).status_code == 401
    assert (await client.get("/plans")).status_code == 200


async def test_a_found_key_is_looked_up_again_after_a_while(
    keys: NewKeys, odoo_transport: FakeOdooTransport, clock: list[float]
) -> None:
    """So that one which was revoked meanwhile opens nothing."""
    assert await keys.owner_of(NEW)
    odoo_transport.answers["fc_find_key"] = {"service": None}
    clock[0] += 9
    assert await keys.owner_of(NEW)
    clock[0] += 2
    assert await keys.owner_of(NEW) is None
