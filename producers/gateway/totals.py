"""What the gateway knows of totals: per subscription and metric the newest periods. All in memory, no I/O."""

import threading
from collections.abc import Callable
from typing import NamedTuple

import structlog
from pydantic import ValidationError

from schemas.derived import Total, Version
from schemas.money import format_decimal
from schemas.periods import format_instant

_log = structlog.get_logger("fusion.gateway")

PERIODS_MAX = 3  # per metric: the running one, the one before, and one that is corrected late


class Counted(NamedTuple):
    """The total of one metric in one period [period_start, period_end); text as it is answered."""

    metric: str
    period_start: str
    period_end: str
    quantity: str
    counters: int
    version: Version


class TotalsView:
    """A picture of `totals.v1`, fed record by record with `apply`; safe to read from any thread.

    An older version than the one held is passed over, as everywhere.
    """

    def __init__(self, is_complete: Callable[[], bool] = lambda: True) -> None:
        self.is_complete = is_complete
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], dict[tuple[str, str], Counted]] = {}

    def apply(self, key: str, value: bytes | None) -> None:
        """Take over one record of the topic; null deletes. One that cannot be read is reported and changes nothing."""
        if value is None:
            self._delete(key)
            return
        try:
            total = Total.model_validate_json(value)
        except ValidationError as error:
            _log.warning("gateway.total_skipped", errors=error.error_count())
            return
        start, end = format_instant(total.period_start), format_instant(total.period_end)
        counted = Counted(total.metric, start, end, format_decimal(total.quantity), total.counters, total.version)
        with self._lock:
            held = self._held.setdefault((total.service, total.subscription), {})
            known = held.get((total.metric, start))
            if known is None or counted.version >= known.version:
                held[total.metric, start] = counted
            _forget_oldest(held, total.metric)

    def of(self, service: str, subscription: str) -> list[Counted]:
        """Return what a subscription has used, by metric, the newest period first; empty where nothing is known."""
        with self._lock:
            found = list(self._held.get((service, subscription), {}).values())
        newest_first = sorted(found, key=lambda counted: counted.period_start, reverse=True)
        return sorted(newest_first, key=lambda counted: counted.metric)

    def _delete(self, key: str) -> None:
        service, _, rest = key.partition("/")
        parts = rest.rsplit("/", 2)
        if len(parts) != 3:  # noqa: PLR2004 -- subscription, metric, period
            return
        subscription, metric, start = parts
        with self._lock:
            held = self._held.get((service, subscription), {})
            held.pop((metric, start), None)
            if not held:
                self._held.pop((service, subscription), None)


def _forget_oldest(held: dict[tuple[str, str], Counted], metric: str) -> None:
    starts = sorted(start for name, start in held if name == metric)
    for start in starts[:-PERIODS_MAX]:
        del held[metric, start]
