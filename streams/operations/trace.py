"""From a counter's key to what became of each of its values, and from a total back to the counters in it. Pure.

Plain dictionaries and decimals, one subscription at a time: what the partition store does for speed is told here in
the way it is meant, so that the one can be held against the other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum

from schemas.catalog import Aggregation, Metric
from schemas.errors import Refused
from schemas.identifiers import total_key, usage_key
from schemas.money import DECIMAL_CONTEXT
from schemas.partitioning import partition_of
from schemas.periods import Period, period_of
from schemas.usage import Counter
from schemas.wire import RefusedCounter, decode_batch, to_counters
from streams.domain.catalog import CatalogView
from streams.domain.screening import screen
from streams.domain.splitting import SPLIT_DAYS_MAX, divided, splits
from streams.operations.trace_names import Name, names_in
from streams.records import LogRecord


class Fate(StrEnum):
    """What became of one value of a counter."""

    COUNTED = "counted"
    REPLACED = "replaced"  # a later value of its key counts instead
    DUPLICATE = "duplicate"  # the same again
    SUPERSEDED = "superseded"  # a greater revision of its key was there already
    SENT_ON = "sent on"  # it came on a wrong partition; the copy on the right one counts
    REFUSED = "refused"


@dataclass(slots=True)
class Value:
    """One value of a counter in the usage log; `counter` is null for a refused one. `by`: what displaced it, or why.

    part: how much of it counts in the total that was asked for, of a counter that is split.
    """

    name: Name
    partition: int
    offset: int
    index: int
    time_ms: int
    counter: Counter | None
    fate: Fate = Fate.COUNTED
    by: str = ""
    part: Decimal | None = None

    @property
    def place(self) -> str:
        """Where the log holds it: partition:offset#index in the record."""
        return f"{self.partition}:{self.offset}#{self.index}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which counters are looked for; null means any."""

    key: str | None = None
    service: str | None = None
    subscription: str | None = None
    metric: str | None = None

    def may_be_in(self, value: bytes) -> bool:
        """Tell whether a record can hold one: its texts stand there, unless the record uses JSON's escapes."""
        texts = (self.key, self.service, self.subscription, self.metric)
        return b"\\" in value or all(text.encode(errors="replace") in value for text in texts if text is not None)

    def is_met_by(self, name: Name) -> bool:
        """Tell whether a counter is one of these."""
        wanted = (self.service, self.subscription, self.metric, self.key)
        return all(mine is None or mine == theirs for mine, theirs in zip(wanted, name, strict=True))


@dataclass(slots=True)
class History:
    """Every value of the wanted counters, in the order of the log, and which of each counts."""

    wanted: Wanted
    partitions: int
    catalog: CatalogView
    values: list[Value] = field(default_factory=list)
    counting: dict[Name, Value] = field(default_factory=dict)

    def take(self, record: LogRecord) -> None:
        """Take in one record of the usage log."""
        raw = record.value or b""
        if not self.wanted.may_be_in(raw):
            return
        for value in self._read(record, raw):
            if self.wanted.is_met_by(value.name):
                self.values.append(value)
                if value.counter is not None:
                    self._place(value, value.counter)

    def _read(self, record: LogRecord, raw: bytes) -> Iterator[Value]:
        try:
            decoded, refused = decode_batch(raw)
        except Refused as error:
            for index, name in enumerate(names_in(raw)):
                yield _refused(record, index, name, RefusedCounter(None, error.reason, error.field, str(error)))
            return
        allowed, forbidden = screen(decoded, self.catalog)
        for at, counter in enumerate(to_counters(allowed)):
            name = (allowed.service, counter.subscription, counter.metric, counter.idempotency_key)
            yield Value(name, record.partition, record.offset, allowed.index_of(at), record.timestamp_ms, counter)
        if refused or forbidden:
            names = names_in(raw)
            for each in (*refused, *forbidden):
                if each.index is not None and each.index < len(names):
                    yield _refused(record, each.index, names[each.index], each)

    def _place(self, value: Value, counter: Counter) -> None:
        home = partition_of(usage_key(value.name[0], counter.subscription), self.partitions)
        if home != value.partition:
            value.fate, value.by = Fate.SENT_ON, f"partition {home}"
            return
        former = self.counting.get(value.name)
        if former is None or former.counter is None:
            self.counting[value.name] = value
        elif counter.revision < former.counter.revision:
            value.fate, value.by = Fate.SUPERSEDED, f"revision {former.counter.revision} at {former.place}"
        elif self._says(value.name, counter) == self._says(value.name, former.counter):
            value.fate, value.by = Fate.DUPLICATE, f"of {former.place}"
        else:
            former.fate, former.by = Fate.REPLACED, f"by {value.place}"
            self.counting[value.name] = value

    def _says(self, name: Name, counter: Counter) -> tuple[object, ...]:
        metric = self.catalog.metric(name[0], name[2])
        end = counter.period_end if splits(metric) else None
        return counter.quantity, counter.revision, counter.period_start, end, _distinct(metric, counter)

    def shares(self, value: Value) -> dict[str, Decimal]:
        """Return how much of a value belongs to which totals, by key, the one of its start first.

        Nothing while the catalog does not know its period.
        """
        cycle, counter = self.catalog.cycle(value.name[0], value.name[1]), value.counter
        if cycle is None or counter is None:
            return {}
        try:
            periods = [period_of(counter.period_start, cycle)]
            lasts = counter.period_end - counter.period_start
            if splits(self.catalog.metric(value.name[0], value.name[2])) and lasts <= timedelta(days=SPLIT_DAYS_MAX):
                while periods[-1].end < counter.period_end:
                    periods.append(period_of(periods[-1].end, cycle))
        except (ValueError, OverflowError):
            return {}
        starts = [total_key(*value.name[:3], period.start) for period in periods]
        return dict(zip(starts, _parts(counter, periods), strict=True))

    def of_total(self, key: str) -> list[Value]:
        """Return the values that count in a total, by place in the log."""
        return list(self._in_total(self.counting.values(), key))

    def displaced_in(self, key: str) -> list[Value]:
        """Return the values that belong to a total's period but do not count, whatever displaced them."""
        return list(self._in_total((value for value in self.values if value.fate is not Fate.COUNTED), key))

    def _in_total(self, values: Iterable[Value], key: str) -> Iterator[Value]:
        for value in values:
            shares = self.shares(value)
            if key in shares:
                yield replace(value, part=shares[key]) if len(shares) > 1 else value


def _parts(counter: Counter, periods: Sequence[Period]) -> list[Decimal]:
    """Return how much of a counter belongs to each of these periods, which follow each other."""
    if len(periods) == 1:
        return [counter.quantity]
    times = [min(each.end, counter.period_end) - max(each.start, counter.period_start) for each in periods]
    return divided(counter.quantity, [time // timedelta(microseconds=1) for time in times])


def aggregate(values: Sequence[Value], metric: Metric) -> Decimal:
    """Return what counting values come to, by the definition of the metric's aggregation."""
    counters = [(value, value.counter) for value in values if value.counter is not None]
    quantities = [counter.quantity if value.part is None else value.part for value, counter in counters]
    match metric.aggregation:
        case Aggregation.SUM:
            with localcontext(DECIMAL_CONTEXT):
                return sum(quantities, Decimal(0))
        case Aggregation.MAX:
            return max(quantities, default=Decimal(0))
        case Aggregation.LAST:
            ordered = sorted(counters, key=lambda pair: _order(*pair))
            return ordered[-1][1].quantity if ordered else Decimal(0)
        case _:
            return Decimal(len({_distinct(metric, counter) for _, counter in counters}))


def _order(value: Value, counter: Counter) -> tuple[datetime, int, int, int]:
    return counter.period_start, counter.revision, value.offset, value.index


def _distinct(metric: Metric | None, counter: Counter) -> object:
    """Return what a unique count tells counters apart by; null for all other metrics."""
    if metric is None or metric.aggregation is not Aggregation.UNIQUE_COUNT:
        return None
    return repr(counter.properties.get(metric.unique_property)) if metric.unique_property else counter.quantity


def _refused(record: LogRecord, index: int, name: Name, why: RefusedCounter) -> Value:
    reason = f"{why.reason.value}: {why.message}"
    return Value(name, record.partition, record.offset, index, record.timestamp_ms, None, Fate.REFUSED, reason)
