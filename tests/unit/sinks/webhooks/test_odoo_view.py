"""What Odoo is told of deliveries."""

from typing import Any

import pytest

from schemas.errors import OdooRefused, OdooUnavailable
from schemas.events import Delivery
from schemas.odoo_rpc import OdooBilling
from schemas.settings import load
from sinks.kafka_client import Record
from sinks.webhooks.book import key_of
from sinks.webhooks.odoo_view import OdooView, row_of
from sinks.webhooks.schedule import schedule_of
from sinks.webhooks.state import Answer, after_attempt
from tests.unit.sinks.webhooks.deliveries import NOW, delivery

SCHEDULE = schedule_of("compatible", 60)


class Odoo:
    """Keeps the rows per event; refuses calls with a poisoned one."""

    def __init__(self, poison: str = "") -> None:
        self.rows: dict[str, Any] = {}
        self.calls = 0
        self.poison = poison
        self.is_away = False

    def call(self, model: str, method: str, kwargs: dict[str, Any]) -> Any:
        """Behave as the addon does."""
        assert (model, method) == ("fusion.billing.api", "fc_upsert_deliveries")
        self.calls += 1
        if self.is_away:
            raise OdooUnavailable("gone for lunch")
        rows = kwargs["rows"]
        if any(row["event_id"] == self.poison for row in rows):
            raise OdooRefused("odoo.exceptions.ValidationError", "poison")
        self.rows |= {row["event_id"]: row for row in rows}
        return [{"event_id": row["event_id"], "status": "ok"} for row in rows]


def record(state: Delivery, offset: int = 0) -> Record:
    """Return a state as a record."""
    return Record("deliveries.v1", 0, offset, 0, key_of(state).encode(), state.model_dump_json().encode())


def view(odoo: Odoo) -> OdooView:
    """Return the sink."""
    return OdooView(load({"FUSION_ODOO_ROWS_PER_CALL": "3"}), OdooBilling(odoo))


def test_the_newest_state_of_each_delivery_is_shown() -> None:
    """Tombstones, statuses and garbage are passed over; everything is settled."""
    odoo = Odoo()
    failed = after_attempt(delivery("a"), Answer(503), SCHEDULE, NOW, 0.5)
    records = [
        record(delivery("a")),
        record(failed, 1),
        Record("deliveries.v1", 0, 2, 0, b"x:1", None),
        Record("deliveries.v1", 0, 3, 0, b":1", b"{}"),
        Record("deliveries.v1", 0, 4, 0, b"y:1", b"garbage"),
    ]
    assert [one for step in view(odoo).write(records) for one in step] == records
    assert odoo.calls == 1
    row = odoo.rows["a"]
    assert (row["state"], row["attempts"], row["last_error"]) == ("pending", 1, "the app answered 503")
    assert row["next_retry_at"] == "2026-07-01T12:02:00Z"


def test_a_refused_row_hides_no_other() -> None:
    """The call is halved until the row stands alone."""
    odoo = Odoo(poison="b")
    list(view(odoo).write([record(delivery(name)) for name in "abcde"]))
    assert set(odoo.rows) == set("acde")


def test_odoo_away_settles_nothing() -> None:
    """The runner tries again later."""
    odoo = Odoo()
    odoo.is_away = True
    with pytest.raises(OdooUnavailable):
        list(view(odoo).write([record(delivery())]))


def test_a_delivered_one_shows_no_error() -> None:
    """Nor a next attempt."""
    row = row_of(after_attempt(delivery(), Answer(204), SCHEDULE, NOW, 0.5))
    assert (row["state"], row["last_error"], row["next_retry_at"]) == ("delivered", None, None)
