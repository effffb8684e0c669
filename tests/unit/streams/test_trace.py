"""What became of each value of a counter, told in plain Python and held against the store."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import Aggregation
from schemas.wire import to_micros
from streams.intake.run_of_records import take_in_run
from streams.operations.trace import Fate, History, Wanted, aggregate
from streams.records import LogRecord
from streams.store.partition_store import PartitionStore
from tests.unit.streams.catalogs import CODE, SERVICE, charge, metric, plan, subscription, view

JULY = to_micros(datetime(2026, 7, 1, tzinfo=UTC))
TOTAL = f"{SERVICE}/acme/{CODE}/2026-07-01T00:00:00Z"


def row(key: str, quantity: Any, day: int = 3, **fields: Any) -> dict[str, Any]:
    """A counter of `acme` on a day of July 2026."""
    start = f"2026-07-{day:02}T00:00:00Z"
    counter = {"subscription": "acme", "metric": CODE, "quantity": quantity, "idempotency_key": key}
    return counter | {"period_start": start, "period_end": start} | fields


def record(offset: int, *rows: dict[str, Any], partition: int = 0) -> LogRecord:
    """A record of the log."""
    value = json.dumps({"service": SERVICE, "counters": rows}).encode()
    return LogRecord(partition, offset, None, value, timestamp_ms=1_783_000_000_000)


def history(*records: LogRecord, wanted: Wanted | None = None, aggregation: Aggregation = Aggregation.SUM) -> History:
    """What a trace knows after these records, on one partition."""
    catalog = view(plan(), subscription(), metric(aggregation=aggregation), charge())
    made = History(wanted or Wanted(), 1, catalog)
    for each in records:
        made.take(each)
    return made


def test_fates() -> None:
    """First counted, then the same again, an older revision, a correction that moves nothing but the value."""
    told = history(
        record(0, row("a", 5, revision=1)),
        record(1, row("a", 5, revision=1), row("b", 1)),
        record(2, row("a", 4, revision=0)),
        record(3, row("a", 7, revision=1)),
        wanted=Wanted(key="a"),
    )
    assert [(value.place, value.fate, value.by) for value in told.values] == [
        ("0:0#0", Fate.REPLACED, "by 0:3#0"),
        ("0:1#0", Fate.DUPLICATE, "of 0:0#0"),
        ("0:2#0", Fate.SUPERSEDED, "revision 1 at 0:0#0"),
        ("0:3#0", Fate.COUNTED, ""),
    ]


def test_what_is_refused_keeps_its_name_and_reason() -> None:
    """Whatever form the batch has, and also where the whole batch is refused."""
    columns = {
        "subscriptions": ["acme"],
        "metrics": [CODE],
        "periods": [["2026-07-03T00:00:00Z", "2026-07-03T00:00:00Z"]],
        "subscription": [0, 0],
        "metric": [0, 0],
        "period": [0, 0],
        "keys": ["x", "y"],
        "quantities": ["-3", 2],
    }
    in_columns = LogRecord(0, 1, None, json.dumps({"service": SERVICE, "columns": columns}).encode())
    of_later = LogRecord(
        0, 2, None, json.dumps({"schema_version": 9, "service": "s", "counters": [row("z", 1)]}).encode()
    )
    told = history(record(0, row("n", "many"), row("m", 1)), in_columns, of_later, LogRecord(0, 3, None, b"\xff{"))
    fates = {value.name[3]: (value.fate, value.by.partition(":")[0]) for value in told.values}
    assert fates == {
        "n": (Fate.REFUSED, "bad_quantity"),
        "m": (Fate.COUNTED, ""),
        "x": (Fate.REFUSED, "negative_quantity"),
        "y": (Fate.COUNTED, ""),
        "z": (Fate.REFUSED, "unknown_schema"),
    }


@pytest.mark.parametrize("key", ["plain", "zoë", 'quoted"', "back\\slash", "emoji 😀"])
def test_the_first_glance_at_a_record_misses_no_key(key: str) -> None:
    """Whether its text is escaped in the record or not."""
    for ascii_only in (True, False):
        raw = json.dumps({"service": SERVICE, "counters": [row(key, 1)]}, ensure_ascii=ascii_only).encode()
        told = history(LogRecord(0, 0, None, raw), wanted=Wanted(key=key))
        assert [value.name[3] for value in told.values] == [key]


rows = st.builds(
    row,
    st.sampled_from("abc"),
    st.integers(0, 3),
    st.integers(1, 4),
    revision=st.integers(0, 1),
    properties=st.fixed_dictionaries({"seat": st.sampled_from("xy")}),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(rows, min_size=1, max_size=4), max_size=6), st.sampled_from(Aggregation))
def test_a_trace_comes_to_what_the_store_counts(batches: list[list[dict[str, Any]]], aggregation: Aggregation) -> None:
    """Two ways to read one log: plain dictionaries here, columns and kernels there."""
    records = [record(offset, *batch) for offset, batch in enumerate(batches)]
    kind = metric(aggregation=aggregation, unique_property="seat")
    catalog = view(plan(), subscription(), kind, charge())
    told, store = History(Wanted(), 1, catalog), PartitionStore(1, catalog)
    for each in records:
        told.take(each)
        for counters in take_in_run([each], "", 1, catalog).counters:
            store.apply_arrays(each.offset, counters)
    number = store.aggregates.find((SERVICE, "acme", CODE, JULY))
    counted = Decimal(0) if number is None else store.totals([number])[number]
    counting = told.of_total(TOTAL)
    assert aggregate(counting, kind) == counted
    assert len(counting) == (0 if number is None else int(store.aggregates.arrays["count"][number]))
    assert len(counting) + len(told.displaced_in(TOTAL)) == len(told.values)
