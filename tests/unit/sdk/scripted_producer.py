"""A scripted stand-in for Kafka's producer: says yes, no or nothing. It proves nothing about Kafka."""

import threading
from concurrent.futures import Future

from producers.kafka_client import Position, Record
from schemas.errors import BrokerUnavailable


class ScriptedProducer:
    """Keeps every record and the future that was handed out; `answers_at_once` acknowledges by itself."""

    def __init__(self, partitions: int = 4, *, answers_at_once: bool = True) -> None:
        self.partition_count: int | None = partitions
        self.answers_at_once = answers_at_once
        self.refusal: BrokerUnavailable | None = None
        self.sent: list[tuple[Record, Future[Position]]] = []
        self.changed = threading.Condition()

    def partitions(self, topic: str) -> int:
        """Return the scripted count; without one, Kafka is away."""
        if self.partition_count is None:
            raise BrokerUnavailable(f"{topic}: not connected to Kafka")
        return self.partition_count

    def send(self, record: Record) -> Future[Position]:
        """Keep the record."""
        if self.refusal:
            raise self.refusal
        future: Future[Position] = Future()
        with self.changed:
            self.sent.append((record, future))
            self.changed.notify_all()
            if self.answers_at_once:
                future.set_result(Position(record.partition or 0, len(self.sent) - 1))
        return future

    def recover(self) -> None:
        """Acknowledge everything that waits, and from now on at once."""
        with self.changed:
            self.answers_at_once = True
            for _, future in self.sent:
                if not future.done():
                    future.set_result(Position(0, 0))

    def flush(self, timeout_s: float) -> bool:
        """Nothing is queued here."""
        return timeout_s >= 0

    def wait_sent(self, records: int) -> list[tuple[Record, Future[Position]]]:
        """Wait until so many records were sent, and return them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.sent) >= records, 10), f"only {len(self.sent)} sent"
            return list(self.sent)

    def values(self) -> list[bytes]:
        """Values of all records sent so far."""
        with self.changed:
            return [record.value or b"" for record, _ in self.sent]
