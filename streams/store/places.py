"""Where a counter belongs: the aggregate of its subscription, metric and billing period, as the catalog has it now."""

from typing import Protocol

from schemas.catalog import Metric
from schemas.periods import Cycle, period_of
from schemas.wire import from_micros, to_micros
from streams.domain.splitting import SPLIT_DAYS_MAX
from streams.store.aggregates import UNASSIGNED, AggregateKey, Aggregates

_SPLIT_MAX = SPLIT_DAYS_MAX * 86_400_000_000

Triple = tuple[str, str, str]
"""Service, subscription and metric."""

Span = list[tuple[int, int]]
"""The aggregates that a counter reaches into, by number and in time, each with the microseconds that lie in it."""


class Catalog(Protocol):
    """What the store asks the catalog."""

    def cycle(self, service: str, external_id: str) -> Cycle | None:
        """Return how a subscription's periods repeat, or null while it is unknown."""
        ...

    def metric(self, service: str, code: str) -> Metric | None:
        """Return a metric, or null while it is unknown."""
        ...


class Places:
    """Finds aggregates by the start of a counter; makes those that are new."""

    def __init__(self, catalog: Catalog, aggregates: Aggregates) -> None:
        self._catalog = catalog
        self._aggregates = aggregates
        # (service, subscription, metric) → aggregate number and period of the counter before: the usual answer.
        self._recent: dict[tuple[str, str, str], tuple[int, int, int]] = {}

    def locate(self, service: str, subscription: str, metric: str, start: int) -> tuple[int, int, int]:
        """Return number, period start and period end of the aggregate for a counter that starts at `start`."""
        triple = (service, subscription, metric)
        recent = self._recent.get(triple)
        if recent is not None and recent[1] <= start < recent[2]:
            return recent
        bounds = self._period(service, subscription, start)
        located = (self._aggregates.number(AggregateKey(*triple, *bounds)), *bounds)
        if bounds[0] != UNASSIGNED:
            self._recent[triple] = located
        return located

    def span(self, triple: Triple, start: int, end: int) -> Span:
        """Return what a counter of `triple` [start, end) reaches into; nothing, if it lies within one period.

        Nothing, too, while the subscription's periods are unknown, and if it lasts longer than `SPLIT_DAYS_MAX`.
        """
        if end - start > _SPLIT_MAX:
            return []
        periods: list[tuple[int, int]] = []
        at = start
        while at < end:
            period = self._period(*triple[:2], at)
            if period[0] == UNASSIGNED:
                return []
            periods.append(period)
            at = period[1]
        if len(periods) <= 1:
            return []
        numbers = [self._aggregates.number(AggregateKey(*triple, *each)) for each in periods]
        return [
            (number, min(until, end) - max(since, start))
            for number, (since, until) in zip(numbers, periods, strict=True)
        ]

    def is_settled(self, key: AggregateKey) -> bool:
        """Tell whether an aggregate's period is the one the catalog gives it now."""
        if key.period_start == UNASSIGNED:
            return self._catalog.cycle(key.service, key.subscription) is None
        return self._period(key.service, key.subscription, key.period_start) == (key.period_start, key.period_end)

    def forget(self) -> None:
        """Ask the catalog anew from now on."""
        self._recent.clear()

    def _period(self, service: str, subscription: str, start: int) -> tuple[int, int]:
        """Return the billing period of an instant, as the catalog has it now, or `UNASSIGNED` twice."""
        cycle = self._catalog.cycle(service, subscription)
        if cycle is None:
            return UNASSIGNED, UNASSIGNED
        try:
            period = period_of(from_micros(start), cycle)
        except (ValueError, OverflowError):
            # An interval so long that a boundary lies outside the calendar: no counter may stop the partition.
            return UNASSIGNED, UNASSIGNED
        return to_micros(period.start), to_micros(period.end)
