"""Twins of the sinks' own ports for unit tests: a consumer, a publisher and an Odoo, all in memory."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from schemas.catalog import ChargeModel
from schemas.derived import Overage, Version
from schemas.errors import OdooRefused, OdooUnavailable
from sinks.kafka_client import Outgoing, Record

JULY = datetime(2026, 7, 1, tzinfo=UTC)
AUGUST = datetime(2026, 8, 1, tzinfo=UTC)


def overage(subscription: str = "sub-1", amount: str = "100", version: tuple[int, int, int] = (1, 1, 0)) -> Overage:
    """Return one rated charge; its amount and age as given."""
    return Overage(
        service="nexamaps",
        subscription=subscription,
        metric="api_calls",
        charge="calls",
        period_start=JULY,
        period_end=AUGUST,
        version=Version(*version),
        total=Decimal(6_000_000),
        quota=Decimal(5_000_000),
        billable_units=Decimal(1_000_000),
        batches=Decimal(1000),
        batch_size=Decimal(1000),
        price_per_unit=Decimal("0.10"),
        charge_model=ChargeModel.STANDARD,
        amount=Decimal(amount),
        currency="CAD",
        counters=3,
    )


def record(value: Overage | bytes | None, offset: int = 0, partition: int = 0, key: bytes | None = None) -> Record:
    """Return an overage, or anything else, as a record of `overage.v1`."""
    if isinstance(value, Overage):
        return Record("overage.v1", partition, offset, 0, value.key.encode(), value.model_dump_json().encode())
    return Record("overage.v1", partition, offset, 0, key, value)


class FakePublisher:
    """Keeps what was published; raises `failure` instead while it is set and there is something to publish."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.failure: Exception | None = None

    def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Keep the records."""
        assert topic
        if self.failure is not None and records:
            raise self.failure
        self.records += records


class FakeOdoo:
    """Holds the amount per key; refuses a whole call that has a row of a subscription in `poison`.

    Of the keys in `forgotten` it wants whole rows: something about them is not as it was.
    """

    def __init__(self) -> None:
        self.amounts: dict[str, str] = {}
        self.versions: dict[str, list[int]] = {}
        self.calls: list[list[str]] = []
        self.short_rows = 0
        self.forgotten: set[str] = set()
        self.poison: set[str] = set()
        self.parks: set[str] = set()
        self.is_away = False
        self.refuses_all = False

    def call(self, model: str, method: str, kwargs: dict[str, Any]) -> Any:
        """Behave as the addon does."""
        assert (model, method) == ("fusion.billing.api", "fc_upsert_lines")
        rows = kwargs["rows"]
        if self.is_away:
            raise OdooUnavailable("gone for lunch")
        if self.refuses_all:
            raise OdooRefused("odoo.exceptions.AccessError", "not in the group")
        if any(_subscription(row) in self.poison for row in rows):
            raise OdooRefused("odoo.exceptions.ValidationError", "poison")
        self.calls.append([row["key"] for row in rows])
        return [self._result(row) for row in rows]

    def _result(self, row: Mapping[str, Any]) -> dict[str, Any]:
        nothing = {"order_id": None, "line_id": None, "revision": 0, "amount": "0", "invoiced_amount": "0"}
        before, told = self.amounts.get(row["key"]), row.get("amount")
        if told is None:
            self.short_rows += 1
            if row["key"] in self.forgotten or row["fingerprint"] != f"for {before}":
                return {"key": row["key"], "status": "incomplete", **nothing}
            told = before
        if _subscription(row) in self.parks:
            return {"key": row["key"], "status": "parked", "error": "no such order", **nothing}
        self.amounts[row["key"]], self.versions[row["key"]] = str(told), list(row["version"])
        status = "created" if before is None else "unchanged" if before == told else "updated"
        facts = {"order_id": 1, "line_id": 2, "revision": 0, "amount": told, "invoiced_amount": "0"}
        return {"key": row["key"], "status": status, "fingerprint": f"for {told}", **facts}


def _subscription(row: Mapping[str, Any]) -> str:
    return str(row["key"]).split("/")[1]


class FakeConsumer:
    """A group member whose polls, rebalances and commits the test decides."""

    def __init__(self) -> None:
        self.polls: list[list[Record]] = []
        self.revoked: set[int] = set()
        self.committed: dict[int, int] = {}
        self.commit_failure: Exception | None = None
        self.is_paused = False

    def poll(self, timeout_s: float) -> list[Record]:
        """Return the next prepared poll; nothing while paused."""
        assert timeout_s > 0
        return self.polls.pop(0) if self.polls and not self.is_paused else []

    def take_revoked(self) -> frozenset[int]:
        """Return and forget what was revoked."""
        taken, self.revoked = frozenset(self.revoked), set()
        return taken

    def pause(self) -> None:
        """Note the pause."""
        self.is_paused = True

    def resume(self) -> None:
        """Note its end."""
        self.is_paused = False

    def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Keep the offsets."""
        if self.commit_failure is not None:
            raise self.commit_failure
        self.committed.update(next_offsets)
