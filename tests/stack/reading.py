"""Reading what was published: committed records only, as every reader of our topics does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from tests.stack.waiting import wait_until

_READ_WITHIN_S = 60.0


def read_cold(bootstrap: str, topic: str) -> list[Any]:
    """All records that a topic holds now, oldest first per partition."""
    consumer, places = _consumer(bootstrap, topic)
    records: list[Any] = []
    try:
        ends = consumer.end_offsets(places)

        def is_at_its_end() -> bool:
            for batch in consumer.poll(timeout_ms=200).values():
                records.extend(batch)
            return all(consumer.position(place) >= ends[place] for place in places)

        wait_until(is_at_its_end, _READ_WITHIN_S, f"the end of {topic}")
    finally:
        consumer.close()
    return records


@dataclass(slots=True)
class Tail:
    """Follows a compacted topic: the last value of each key, as far as it has been read."""

    bootstrap: str
    topic: str
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    _consumer: Any = None

    def poll(self) -> dict[str, dict[str, Any]]:
        """Read what has come since and return the last values."""
        if self._consumer is None:
            self._consumer, _ = _consumer(self.bootstrap, self.topic)
        while records := self._consumer.poll(timeout_ms=50):
            for batch in records.values():
                for record in batch:
                    self.last[record.key.decode()] = json.loads(record.value)
        return self.last

    def close(self) -> None:
        """Let go of the broker."""
        if self._consumer is not None:
            self._consumer.close()


def _consumer(bootstrap: str, topic: str) -> tuple[Any, list[Any]]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        reconnect_backoff_max_ms=1000,
    )
    numbers = wait_until(lambda: consumer.partitions_for_topic(topic), _READ_WITHIN_S, f"the partitions of {topic}")
    places = [TopicPartition(topic, number) for number in numbers]
    consumer.assign(places)
    return consumer, places
