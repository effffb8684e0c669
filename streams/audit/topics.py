"""Reading what has been published: of a compacted topic the newest record of each key that is asked for."""

from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pydantic import ValidationError

from schemas.derived import Version
from schemas.partitioning import partition_of
from schemas.topics import Topic
from streams.audit.judging import Finding, Outcome, Where, judge_last_word
from streams.kafka_client import LogReader
from streams.records import LogRecord

Progress = Callable[[str, int, int], None]
"""Told what is being read, how much of it is done and how much there is."""


class Versioned(Protocol):
    """A derived record: whole truth of its key, newer than another by its version."""

    @property
    def key(self) -> str:
        """Key of the record."""
        ...

    @property
    def version(self) -> Version:
        """How old it is."""
        ...


_Record = TypeVar("_Record", bound=Versioned)


@dataclass(frozen=True, slots=True)
class Held(Generic[_Record]):
    """The newest record of a key, and where the topic holds it."""

    record: _Record
    partition: int
    offset: int


@dataclass(slots=True)
class Published(Generic[_Record]):
    """Newest records by key of one topic, as far as `is_wanted` says so of their keys; `refresh` reads on.

    findings: what is wrong with the topic itself, by key.
    """

    topic: Topic
    reader: LogReader
    parse: Callable[[bytes], _Record]
    is_wanted: Callable[[str], bool]
    held: dict[str, Held[_Record]] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    _positions: dict[int, int] = field(default_factory=dict)

    async def refresh(self, progress: Progress, keys: Collection[str] | None = None) -> None:
        """Read from where the last call ended, the first one from the beginning, to what is the end now.

        `keys`: read only where these can be.
        """
        count = await self.reader.partitions()
        partitions = range(count) if keys is None else sorted({partition_of(key, count) for key in keys if count})
        for partition in partitions:
            first, end = await self.reader.bounds(partition)
            start = max(first, self._positions.get(partition, 0))
            async with aclosing(self.reader.read(partition, start, end)) as records:
                async for record in records:
                    self._take(record)
                    progress(self.topic.name, record.offset + 1 - start, end - start)
            self._positions[partition] = end

    def get(self, key: str) -> _Record | None:
        """Return the newest record of a key, if there is one."""
        held = self.held.get(key)
        return None if held is None else held.record

    def _take(self, record: LogRecord) -> None:
        key = (record.key or b"").decode(errors="replace")
        if not self.is_wanted(key):
            return
        if record.value is None:
            self.held.pop(key, None)
            return
        where = Where(self.topic.name)
        try:
            parsed = self.parse(record.value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]["msg"]
            self.findings[key] = Finding(
                where, key, Outcome.DRIFT, "a readable record", f"offset {record.offset}", first
            )
            return
        if parsed.key != key:
            self.findings[key] = Finding(where, key, Outcome.DRIFT, f"the key {parsed.key}", f"the key {key}")
            return
        known = self.held.get(key)
        if known is not None and parsed.version < known.record.version:
            self.findings[key] = judge_last_word(where, key, known.record.version, parsed.version)
            return
        self.findings.pop(key, None)
        self.held[key] = Held(parsed, record.partition, record.offset)


def is_of_partition(partition: int, partitions: int) -> Callable[[str], bool]:
    """Return a test of derived keys: service/subscription/(metric or charge)/period start of one usage partition."""
    return lambda key: partition_of(key.rsplit("/", 2)[0], partitions) == partition
