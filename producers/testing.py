"""Stand-ins that keep the ports' promises without a network: for our tests and for those of apps."""

import threading
from concurrent.futures import Future
from typing import Any

from producers.kafka_client import Position, Record
from schemas.errors import BrokerUnavailable, OdooUnavailable


class FakeProducer:
    """A `RecordProducer` that keeps records in memory.

    `is_away` makes it refuse at once, `is_silent` makes it take records and acknowledge none until `acknowledge`.
    """

    def __init__(self, partitions: int = 4) -> None:
        self.records: list[Record] = []
        self.is_away = False
        self.is_silent = False
        self._partitions = partitions
        self._waiting: list[tuple[Future[Position], Record]] = []
        self._lock = threading.Lock()

    def partitions(self, topic: str) -> int:
        """See `RecordProducer.partitions`; the same for every topic."""
        self._check_reachable(topic)
        return self._partitions

    def send(self, record: Record) -> Future[Position]:
        """See `RecordProducer.send`."""
        self._check_reachable(record.topic)
        future: Future[Position] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._waiting.append((future, record))
        if not self.is_silent:
            self.acknowledge()
        return future

    def flush(self, timeout_s: float) -> bool:
        """See `RecordProducer.flush`; does not wait."""
        del timeout_s
        return not self._waiting

    def acknowledge(self) -> None:
        """Acknowledge whatever waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            for future, record in waiting:
                self.records.append(record)
                future.set_result(Position(record.partition or 0, len(self.records) - 1))

    def _check_reachable(self, topic: str) -> None:
        if self.is_away:
            raise BrokerUnavailable(f"no broker for {topic}")


class FakeOdooTransport:
    """An `OdooTransport` that answers from a table, method name to result or function of its keywords.

    Unless the table says otherwise, it knows no API key but those of the catalog.
    """

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = {"fc_find_key": {"service": None}} | answers
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.is_away = False

    def call(self, model: str, method: str, kwargs: dict[str, Any]) -> Any:
        """See `OdooTransport.call`."""
        if self.is_away:
            raise OdooUnavailable(f"no Odoo for {model}")
        self.calls.append((method, kwargs))
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer(**kwargs) if callable(answer) else answer
