"""Last uses of keys: noted per request, told to Odoo in batches."""

import hashlib
import threading
from typing import Any

import httpx
from fastapi import FastAPI

from producers.gateway.key_uses import KeyUses, KeyUseTeller
from schemas.errors import OdooUnavailable
from schemas.odoo_rpc import OdooBilling
from tests.unit.gateway.conftest import KEY


class Odoo:
    """Keeps the rows it was told; is away as often as it is asked to."""

    def __init__(self, away: int = 0) -> None:
        self.rows: list[dict[str, str]] = []
        self.away = away
        self.was_told = threading.Event()

    def call(self, model: str, method: str, kwargs: dict[str, Any]) -> Any:
        """Behave as the addon does."""
        assert (model, method) == ("fusion.billing.api", "fc_note_key_uses")
        if self.away:
            self.away -= 1
            raise OdooUnavailable("gone for lunch")
        self.rows += kwargs["rows"]
        self.was_told.set()
        return True


async def test_a_request_notes_its_key_and_a_wrong_key_notes_nothing(client: httpx.AsyncClient, app: FastAPI) -> None:
    """Only the hash is known afterwards."""
    odoo = Odoo()
    assert (await client.get("/plans", headers={"Authorization": "Bearer nonsense"})).status_code == 401
    app.state.ports.key_uses.tell(OdooBilling(odoo))
    assert odoo.rows == []
    assert (await client.get("/plans")).status_code == 200
    app.state.ports.key_uses.tell(OdooBilling(odoo))
    assert [row["key_hash"] for row in odoo.rows] == [hashlib.sha256(KEY.encode()).hexdigest()]


def test_only_the_last_use_is_told_and_only_once() -> None:
    """A thousand requests are one row."""
    times = iter([1_793_000_000.0, 1_793_000_001.0, 1_793_000_060.0])
    uses, odoo = KeyUses(lambda: next(times)), Odoo()
    uses.note("aa")
    uses.note("aa")
    for _ in range(2):
        uses.tell(OdooBilling(odoo))
    assert odoo.rows == [{"key_hash": "aa", "used_at": "2026-10-26T07:33:21Z"}]
    uses.note("aa")
    uses.tell(OdooBilling(odoo))
    assert odoo.rows[1:] == [{"key_hash": "aa", "used_at": "2026-10-26T07:34:20Z"}]


def test_odoo_away_delays_the_word() -> None:
    """The thread goes on, connects anew, and nothing is forgotten."""
    odoo, connections = Odoo(away=2), []

    def connect() -> Odoo:
        connections.append(1)
        return odoo

    uses = KeyUses()
    uses.note("aa")
    teller = KeyUseTeller(uses, connect, every_s=0.01)
    teller.start()
    try:
        assert odoo.was_told.wait(30)
    finally:
        teller.close()
    assert [row["key_hash"] for row in odoo.rows] == ["aa"]
    assert len(connections) == 3
