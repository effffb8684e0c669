"""What unique count counts: one 64-bit hash per row, of the metric's property or of the quantity without one."""

from decimal import Decimal
from typing import Any

import numpy as np
import xxhash

from schemas.catalog import Aggregation, Metric
from schemas.money import format_decimal
from streams.store import treatments
from streams.store.columns import Column
from streams.store.counters import CounterArrays
from streams.store.metrics_at import MetricsAt
from streams.store.places import Catalog


class Distinct:
    """Makes the column `distinct` and remembers what it was made of.

    counted_by: (service, metric) → what its rows hold since the first of them came; null: nothing.
    """

    def __init__(self, seed: int, catalog: Catalog) -> None:
        self.counted_by: dict[tuple[str, str], str | None] = {}
        self._seed = seed
        self._catalog = catalog

    def outdated(self) -> set[tuple[str, str]]:
        """Return (service, metric) of what now counts distinct values of something that its rows do not hold.

        The catalog may learn of a metric after its first counters, or change what it counts. Rows keep a hash of one
        property only, so such a store has to be made anew from the log.
        """
        metrics = {name: self._catalog.metric(*name) for name in self.counted_by}
        return {
            name
            for name, counted in self.counted_by.items()
            if _is_unique(metrics[name]) and counted != _counted(metrics[name])
        }

    def column(self, counters: CounterArrays, pair: Column, metrics: MetricsAt) -> Column:
        """Return the hash of each counter; zero where nothing is counted.

        `pair` numbers the (owner, metric) of each counter. Values that do not fit their column have the hash of the
        value here, so that a resent one is recognised.
        """
        distinct = np.zeros(len(counters), np.uint64)
        for position, exact in counters.wide.items():
            distinct[position] = self._hash_of(format_decimal(exact))
        for name, metric in metrics.by_name.items():
            treatments.note(self.counted_by, name, _counted(metric))
        if not any(map(_is_unique, metrics.by_name.values())):
            return distinct
        unique = np.array([_is_unique(metric) for metric in metrics.of_pair], np.bool_)
        for position in np.flatnonzero(unique[pair]).tolist():
            distinct[position] = self._hash_of(_value(counters, position, metrics.of_pair[pair[position]]))
        return distinct

    def _hash_of(self, value: str) -> int:
        return xxhash.xxh3_64_intdigest(value.encode(), self._seed)


def _value(counters: CounterArrays, position: int, metric: Metric | None) -> str:
    if metric is None or not metric.unique_property:
        return format_decimal(Decimal(counters.exact_quantity(position)))
    properties: dict[str, Any] = (counters.properties[position] if counters.properties else None) or {}
    return repr(properties.get(metric.unique_property))


def _is_unique(metric: Metric | None) -> bool:
    return metric is not None and metric.aggregation is Aggregation.UNIQUE_COUNT


def _counted(metric: Metric | None) -> str | None:
    """Return which property a metric counts the distinct values of: empty for the quantity, null for none."""
    if metric is None or not _is_unique(metric):
        return None
    return metric.unique_property or ""
