"""Scripted stand-ins for Odoo and Kafka, for the feed's own decisions only; integration tests use the real ones."""

from collections.abc import Sequence
from typing import Any

from producers.kafka_client import Record
from schemas.errors import BrokerUnavailable, OwnershipLost


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
    """The topics, and sessions on them: the newest may write. `failing` numbers the publications that are cut short."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.values: dict[str, bytes] = {}
        self.failing: set[int] = set()
        self.is_read = True
        self.sessions: list[ScriptedSession] = []
        self.publications = 0

    def begin(self) -> "ScriptedSession":
        """Begin a session."""
        self.sessions.append(ScriptedSession(self))
        return self.sessions[-1]


class ScriptedSession:
    """A `Session` on `ScriptedKafka`."""

    def __init__(self, kafka: ScriptedKafka) -> None:
        self._kafka = kafka
        self.is_closed = False

    def catalog(self) -> dict[str, bytes] | None:
        """See `Session`."""
        return dict(self._kafka.values) if self._kafka.is_read else None

    def publish(self, topic: str, records: Sequence[Record]) -> None:
        """Keep the records; of a failing publication only the first."""
        assert not self.is_closed
        if self is not self._kafka.sessions[-1]:
            raise OwnershipLost("scripted")
        assert all(record.topic == topic for record in records)
        self._kafka.publications += 1
        is_cut = self._kafka.publications in self._kafka.failing
        for record in records[:1] if is_cut else records:
            self._kafka.records.append(record)
            if topic.endswith("catalog.v1"):
                self._apply((record.key or b"").decode(), record.value)
        if is_cut:
            raise BrokerUnavailable("scripted")

    def close(self) -> None:
        """Note it."""
        self.is_closed = True

    def _apply(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._kafka.values.pop(key, None)
        else:
            self._kafka.values[key] = value
