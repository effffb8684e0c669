"""What the meter refused: list it, and publish again what would be accepted now.

Of a record only the refused counters are published again; the others have been counted, and a second copy of an old
value could displace a newer one. For the same reason a refused counter whose key was sent again correctly meanwhile
should not be replayed: the later one in the log wins among equal revisions.
"""

import base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from producers.kafka_client.history import Stored
from schemas.errors import Reason, Refused
from schemas.events import Rejected
from schemas.usage import Counter
from schemas.wire import decode_batch, to_counters


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """One record of the rejected topic and when it was written."""

    partition: int
    offset: int
    time: datetime
    rejected: Rejected

    @property
    def place(self) -> str:
        """Name of the record on the command line: ``partition:offset`` on the rejected topic."""
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rejected records are meant; an empty field means any."""

    reason: Reason | None = None
    places: frozenset[str] = frozenset()

    def holds(self, record: RejectedRecord) -> bool:
        """Tell whether a record is meant."""
        if self.places and record.place not in self.places:
            return False
        return self.reason is None or any(each.reason is self.reason for each in record.rejected.refusals)


@dataclass(slots=True)
class Replay:
    """Counters that would be accepted now, by service, and what would be refused again."""

    counters: dict[str, list[Counter]] = field(default_factory=lambda: defaultdict(list))
    still_refused: list[tuple[RejectedRecord, str]] = field(default_factory=list)


def rejected_records(stored: Iterable[Stored], selection: Selection) -> Iterator[RejectedRecord]:
    """Yield the selected records; one that this release cannot read is passed over."""
    for each in stored:
        try:
            rejected = Rejected.model_validate_json(each.value or b"")
        except ValidationError:
            continue
        record = RejectedRecord(each.partition, each.offset, each.time, rejected)
        if selection.holds(record):
            yield record


def plan_replay(records: Iterable[RejectedRecord]) -> Replay:
    """Judge each refused counter anew and sort it."""
    replay = Replay()
    for record in records:
        try:
            columns, refused = decode_batch(base64.b64decode(record.rejected.original))
        except Refused as error:
            replay.still_refused.append((record, str(error)))
            continue
        wanted = {refusal.index for refusal in record.rejected.refusals}
        replay.still_refused += [(record, each.message) for each in refused if None in wanted or each.index in wanted]
        positions = [at for at in range(len(columns)) if None in wanted or columns.index_of(at) in wanted]
        replay.counters[columns.service] += to_counters(columns.select(positions))
    return replay


def send_replay(replay: Replay, publish: Callable[[str, list[Counter]], None]) -> int:
    """Publish the planned counters, service by service; returns how many."""
    for service, counters in replay.counters.items():
        if counters:
            publish(service, counters)
    return sum(map(len, replay.counters.values()))
