"""A partition's log replayed into a fresh store: what its aggregates must come to. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.derived import Overage, Total
from schemas.identifiers import total_key
from schemas.wire import from_micros, to_micros
from streams.domain.catalog import CatalogView
from streams.intake.run_of_records import take_in_run
from streams.partition.derive import derive
from streams.partition.derived_records import terms_of
from streams.records import LogRecord
from streams.store.aggregates import UNASSIGNED, AggregateKey
from streams.store.partition_store import PartitionStore
from streams.store.published import Billed, Name

_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Place:
    """Which partition of how many, under which epoch of the usage topic."""

    partition: int
    partitions: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What must have been published of one aggregate: its total, and by key the overage on it.

    `total` is null while its metric or its period is unknown.
    """

    total: Total | None = None
    overages: Mapping[str, Overage] = field(default_factory=dict)


@dataclass(slots=True)
class Replay:
    """A store of its own that is fed the log from its first record on.

    watched: source offset → published totals that bear it. What must be is remembered at that very record, too: a
    busy pipeline has published less than the log holds, and only equal ages can be compared.
    captured: total's key → what was remembered. first_seen_ms: about when each aggregate's first counter
    came, by number. starts_at_ms: time of the first record, null for an empty log.
    """

    place: Place
    store: PartitionStore
    catalog: CatalogView
    watched: Mapping[int, Sequence[Total]] = field(default_factory=dict)
    captured: dict[str, Expected] = field(default_factory=dict)
    first_seen_ms: list[int] = field(default_factory=list)
    starts_at_ms: int | None = None

    def feed(self, records: Sequence[LogRecord]) -> None:
        """Apply the next records as the meter does, but for what the meter sends on or sets aside."""
        start = 0
        for at, record in enumerate(records, 1):
            if record.offset in self.watched or at == len(records):
                self._apply(records[start:at])
                start = at

    def _apply(self, run: Sequence[LogRecord]) -> None:
        last_offset = run[-1].offset
        if self.starts_at_ms is None:
            self.starts_at_ms = run[0].timestamp_ms
        for counters in take_in_run(run, "", self.place.partitions, self.catalog).counters:
            self.store.apply_arrays(last_offset, counters)
        self.store.applied_offset = last_offset
        new = len(self.store.aggregates) - len(self.first_seen_ms)
        self.first_seen_ms.extend([run[0].timestamp_ms] * new)
        numbers = [self.store.aggregates.find(_name_of(total)) for total in self.watched.get(last_offset, ())]
        self.captured.update(self._expected([number for number in numbers if number is not None]))

    def expected(self) -> Iterator[tuple[str, Expected]]:
        """Yield by total's key what must have been published, by the state after the last record."""
        for start in range(0, len(self.store.aggregates), _CHUNK):
            yield from self._expected(range(start, min(start + _CHUNK, len(self.store.aggregates))))

    def _expected(self, numbers: Sequence[int]) -> Iterator[tuple[str, Expected]]:
        derivation = derive(self.store, numbers, self.catalog, self.place.epoch)
        totals = {total.key: total for total in derivation.totals}
        overages: dict[str, dict[str, Overage]] = {}
        for each in derivation.overages:
            overages.setdefault(each.total_key, {})[each.key] = each
        for number in numbers:
            key = self.store.aggregates.keys[number]
            if key.period_start != UNASSIGNED:
                name = _name(key)
                yield name, Expected(totals.get(name), overages.get(name, {}))


def billed_by(totals: Iterable[Total], overages: Iterable[Overage]) -> Billed:
    """Return what the meter must remember to have billed, read from what it has published."""
    billed: Billed = {_name_of(total): {} for total in totals}
    for each in overages:
        if (terms := terms_of(each)) is not None:
            billed.setdefault(_name_of(each), {})[each.charge] = terms
    return billed


def _name_of(record: Total | Overage) -> Name:
    return record.service, record.subscription, record.metric, to_micros(record.period_start)


def _name(key: AggregateKey) -> str:
    return total_key(key.service, key.subscription, key.metric, from_micros(key.period_start))
