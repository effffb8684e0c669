"""The metrics of a batch as the catalog has them now, looked up once for each name."""

from dataclasses import dataclass

from schemas.catalog import Metric
from streams.store.columns import Column
from streams.store.counters import CounterArrays
from streams.store.places import Catalog


@dataclass(frozen=True, slots=True)
class MetricsAt:
    """The metric of each (service, code), and of each (owner, metric) pair by the pair's number; null while unknown."""

    by_name: dict[tuple[str, str], Metric | None]
    of_pair: list[Metric | None]

    @classmethod
    def of(cls, counters: CounterArrays, pair_at: Column, catalog: Catalog) -> "MetricsAt":
        """Look up the metrics of counters; `pair_at` is where each (owner, metric) stands first."""
        by_name: dict[tuple[str, str], Metric | None] = {}
        of_pair = []
        for owner, metric in zip(*counters.codes_at(pair_at), strict=True):
            name = counters.owners[owner][0], counters.metrics[metric]
            if name not in by_name:
                by_name[name] = catalog.metric(*name)
            of_pair.append(by_name[name])
        return cls(by_name, of_pair)
