"""Max and last are looked up among what has changed; passes over all rows are counted."""

from datetime import date

import pytest

from schemas.catalog import Aggregation
from tests.unit.streams.catalogs import CODE, SERVICE, columns, subscription, tell
from tests.unit.streams.store.test_partition_store import AUGUST, JULY, one, store_of, values

BOTH = pytest.mark.parametrize("aggregation", [Aggregation.MAX, Aggregation.LAST])


@BOTH
def test_new_and_replaced_counters_take_no_pass_over_the_rows(aggregation: Aggregation) -> None:
    """One pass finds the first answer; what comes and changes after it is looked at by itself."""
    store, _ = store_of(aggregation)
    store.apply(0, columns(*(("acme", CODE, f"k{number}", JULY + number, number) for number in range(1000))))
    assert values(store) == [999]
    for offset in range(1, 20):
        store.apply(2 * offset, one(f"new{offset}", 2000 * offset, JULY + 2000 * offset))
        assert values(store) == [2000 * offset]
        store.apply(2 * offset + 1, one(f"k{offset}", 2000 * offset + 1, JULY + 2000 * offset + 1))
        assert values(store) == [2000 * offset + 1]
    assert store.rows.extremes.passes == 1


@BOTH
def test_a_greatest_or_last_counter_that_is_lowered_takes_one_pass(aggregation: Aggregation) -> None:
    """However many were lowered since the last look; another look takes none."""
    store, _ = store_of(aggregation)
    store.apply(0, columns(*(("acme", CODE, f"k{number}", JULY + number, number) for number in range(100))))
    assert values(store) == [99]
    for offset, number in enumerate(range(99, 89, -1), 1):
        store.apply(offset, one(f"k{number}", -number, JULY - number))
    assert values(store) == [89]
    assert store.rows.extremes.passes == 2
    assert values(store) == [89]
    assert store.rows.extremes.passes == 2


@BOTH
def test_more_changes_than_rows_are_worth_take_a_pass(aggregation: Aggregation) -> None:
    """What has to be remembered of changes is bounded, and the answer right all the same."""
    store, _ = store_of(aggregation)
    for offset in range(3):
        store.apply(offset, columns(*(("acme", CODE, f"k{n}", JULY + n, n + offset) for n in range(2000))))
        assert values(store) == [1999 + offset]
    assert store.rows.extremes.passes == 3


@BOTH
def test_a_counter_that_leaves_for_another_period_is_not_remembered(aggregation: Aggregation) -> None:
    """What it was the greatest or last of goes back to what it was before, and the other period gains it."""
    store, catalog = store_of(aggregation)
    for offset, (key, time, quantity) in enumerate([("a", JULY, 1), ("b", AUGUST, 2), ("c", AUGUST, 9)]):
        store.apply(offset, one(key, quantity, time))
    assert values(store) == [1, 9]
    store.apply(3, one("c", 9, JULY + 1))
    assert values(store) == [9, 2]
    for anchor in (date(2026, 7, 4), date(2026, 7, 1)):
        tell(catalog, subscription(anchor=anchor))
        store.reassign_subscription(SERVICE, "acme")
        assert sorted(value for value in values(store) if value) == [2, 9]
