"""Scripted stand-ins for Odoo and Kafka, for the feed's own decisions only; integration tests use the real ones."""

from concurrent.futures import Future
from typing import Any

from producers.kafka_client import Position, Record
from schemas.errors import BrokerUnavailable


class ScriptedOdoo:
    """An `OdooTransport` that answers from attributes and keeps every call."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.outbox: list[dict[str, Any]] = []
        self.acknowledged: list[int] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None

    def call(self, model: str, method: str, kwargs: dict[str, Any]) -> Any:
        """Answer one call of the addon."""
        assert model == "fusion.billing.api"
        self.calls.append((method, kwargs))
        if self.error:
            raise self.error
        return getattr(self, f"_{method}")(**kwargs)

    def _fc_catalog(self, since: str | None) -> dict[str, Any]:
        return {"records": self.records, "cursor": f"cursor-{len(self.calls)}", "full": since is None}

    def _fc_outbox_read(self, limit: int) -> list[dict[str, Any]]:
        return [row for row in self.outbox if row["id"] not in self.acknowledged][:limit]

    def _fc_outbox_ack(self, ids: list[int]) -> None:
        self.acknowledged += ids


class ScriptedKafka:
    """A `RecordProducer` that keeps records, or fails those whose number is in `failing`."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.failing: set[int] = set()
        self._sends = 0

    def partitions(self, topic: str) -> int:
        """One is enough."""
        return len([topic])

    def send(self, record: Record) -> Future[Position]:
        """Keep or fail the record."""
        future: Future[Position] = Future()
        self._sends += 1
        if self._sends in self.failing:
            future.set_exception(BrokerUnavailable("scripted"))
        else:
            self.records.append(record)
            future.set_result(Position(0, len(self.records)))
        return future

    def flush(self, timeout_s: float) -> bool:
        """Nothing is queued here."""
        return timeout_s >= 0
