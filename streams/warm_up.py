"""Loads the compiled loops before the first record needs them; without numba's cache that takes half a minute."""

from schemas.catalog import Aggregation
from schemas.wire import lazy
from streams.domain.catalog import CatalogView
from streams.intake.column_reader import ColumnReader
from streams.records import LogRecord
from streams.store.partition_store import PartitionStore
from streams.store.totals import resum, totals

_BATCH = (
    b'{"service":"s","columns":{"subscriptions":["s"],"metrics":["m"],"periods":[["2026-07-01T00:00:00Z",'
    b'"2026-07-01T01:00:00Z"]],"subscription":[0],"metric":[0],"period":[0],"keys":["k"],"quantities":[1]}}'
)


def warm_up() -> None:
    """Take one batch into a store that is thrown away."""
    reader = ColumnReader(len(_BATCH), 1)
    reader.add(LogRecord(0, 0, None, _BATCH), lazy.read(_BATCH))
    store = PartitionStore(0, CatalogView())
    store.apply_arrays(0, reader.counters())
    # Twice: what is remembered of extremes is looked at only then.
    for kind in (*Aggregation, *Aggregation):
        totals(store.rows, store.aggregates, {}, {0: kind})
    resum(store.rows, store.aggregates, [0])
    words = store.rows.used("high").copy()
    store.rows.fill(store.rows.size)
    closed = store.closed.roomier(len(words))
    closed.enter(words)
    closed.knows(words)
