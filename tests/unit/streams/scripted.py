"""Stand-ins for the meter's own ports: a log held in a list, a publisher that fails on demand, what it published."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import BrokerUnavailable
from streams.kafka_client import TooLarge
from streams.records import LogRecord, Outgoing, Positions


@dataclass(slots=True)
class ScriptedLog:
    """One partition of the usage log; offsets may be missing."""

    records: dict[int, bytes] = field(default_factory=dict)
    first: int = 0
    end: int = 0
    reads: list[tuple[int, int]] = field(default_factory=list)

    def append(self, value: bytes, gap: int = 0) -> LogRecord:
        """Add a record and return it, as a consumer would get it."""
        offset = self.end + gap
        self.records[offset] = value
        self.end = offset + 1
        return LogRecord(0, offset, None, value)

    def record(self, offset: int) -> LogRecord:
        """A record that is in the log."""
        return LogRecord(0, offset, None, self.records[offset])

    def cut(self, first: int) -> None:
        """Take away what lies before an offset, as retention does."""
        self.first = first
        self.records = {offset: value for offset, value in self.records.items() if offset >= first}

    async def bounds(self, _partition: int) -> tuple[int, int]:
        """First offset and end."""
        return self.first, self.end

    async def read(self, partition: int, start: int, end: int) -> AsyncGenerator[LogRecord, None]:
        """The records of a range, one by one."""
        async for records in self.fetches(partition, start, end):
            for record in records:
                yield record

    async def fetches(self, partition: int, start: int, end: int) -> AsyncGenerator[list[LogRecord], None]:
        """The records of a range, at most two at a time."""
        self.reads.append((start, end))
        wanted = [offset for offset in sorted(self.records) if max(start, self.first) <= offset < end]
        for at in range(0, len(wanted), 2):
            yield [LogRecord(partition, offset, None, self.records[offset]) for offset in wanted[at : at + 2]]


@dataclass(slots=True)
class ScriptedTopics:
    """The derived topics, of one partition each, with everything that was ever published; `reads` counts records."""

    records: dict[str, list[Outgoing]] = field(default_factory=dict)
    reads: int = 0

    def append(self, records: Iterable[Outgoing]) -> Positions:
        """Keep records and say where each topic ends now."""
        touched = set()
        for record in records:
            self.records.setdefault(record.topic, []).append(record)
            touched.add(record.topic)
        return {(topic, 0): len(self.records[topic]) for topic in touched}

    async def ends(self, topics: Sequence[str]) -> Positions:
        """Where the topics end."""
        return {(topic, 0): len(self.records.get(topic, ())) for topic in topics}

    async def read(self, start: Mapping[tuple[str, int], int], ends: Positions) -> AsyncGenerator[Outgoing, None]:
        """The records between."""
        for (topic, partition), end in ends.items():
            for record in self.records.get(topic, ())[start.get((topic, partition), 0) : end]:
                self.reads += 1
                yield record


@dataclass(slots=True)
class ScriptedPublisher:
    """Keeps what was published; `on_publish` runs while it is on its way, `loses_reply` fails when it has arrived."""

    published: list[Outgoing] = field(default_factory=list)
    topics: ScriptedTopics = field(default_factory=ScriptedTopics)
    claims: list[int] = field(default_factory=list)
    recorded: int = 0
    is_down: bool = False
    loses_reply: bool = False
    bytes_max: int = 8 << 20
    on_publish: Callable[[], Any] = lambda: None

    async def claim(self, settled: int) -> int:
        """Become the owner."""
        self.claims.append(settled)
        self.recorded = max(settled, self.recorded)
        return self.recorded

    async def publish(self, records: Iterable[Outgoing], settled: int) -> Positions:
        """Publish all or nothing."""
        self.on_publish()
        if self.is_down:
            raise BrokerUnavailable("down", 0)
        records = list(records)
        if any(len(record.value) > self.bytes_max for record in records):
            raise TooLarge("too large", 0)
        self.published += records
        self.recorded = settled
        positions = self.topics.append(records)
        if self.loses_reply:
            raise BrokerUnavailable("no reply", 0)
        return positions

    async def keep_claim(self, settled: int) -> None:
        """It is young."""

    async def reconnect(self) -> int:
        """What the last publication has settled."""
        return self.recorded

    async def close(self) -> None:
        """Nothing to let go of."""
