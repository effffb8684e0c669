"""Stand-ins for the meter's own ports: a log held in a list, a publisher that fails on demand."""

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import BrokerUnavailable
from streams.records import LogRecord, Outgoing


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

    async def bounds(self, _partition: int) -> tuple[int, int]:
        """First offset and end."""
        return self.first, self.end

    async def fetches(self, partition: int, start: int, end: int) -> AsyncGenerator[list[LogRecord], None]:
        """The records of a range, at most two at a time."""
        self.reads.append((start, end))
        wanted = [offset for offset in sorted(self.records) if max(start, self.first) <= offset < end]
        for at in range(0, len(wanted), 2):
            yield [LogRecord(partition, offset, None, self.records[offset]) for offset in wanted[at : at + 2]]


@dataclass(slots=True)
class ScriptedPublisher:
    """Keeps what was published; `on_publish` runs while a publication is on its way."""

    published: list[Outgoing] = field(default_factory=list)
    claims: list[int] = field(default_factory=list)
    recorded: int = 0
    is_down: bool = False
    on_publish: Callable[[], Any] = lambda: None

    async def claim(self, settled: int) -> int:
        """Become the owner."""
        self.claims.append(settled)
        self.recorded = max(settled, self.recorded)
        return self.recorded

    async def publish(self, records: Iterable[Outgoing], settled: int) -> None:
        """Publish all or nothing."""
        self.on_publish()
        if self.is_down:
            raise BrokerUnavailable("down", 0)
        self.published += records
        self.recorded = settled

    async def close(self) -> None:
        """Nothing to let go of."""
