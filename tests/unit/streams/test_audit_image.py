"""A live store's image against a replay: what is compared, and what cannot be."""

import time
from datetime import UTC, datetime

import pytest

from schemas.wire import to_micros
from streams.audit.live_image import Image, compare, take
from streams.audit.process import Budget
from streams.domain.catalog import CatalogView
from streams.store.partition_store import PartitionStore
from tests.unit.streams.catalogs import CODE, columns, metric, plan, subscription, view

JULY, AUGUST = (to_micros(datetime(2026, month, 3, tzinfo=UTC)) for month in (7, 8))


def store(catalog: CatalogView, *rows: tuple[str, int, int]) -> PartitionStore:
    """A store with counters of acme: key, start, quantity."""
    made = PartitionStore(1, catalog)
    for offset, (key, start, quantity) in enumerate(rows):
        made.apply(offset, columns(("acme", CODE, key, start, quantity)))
    return made


def image(of: PartitionStore) -> Image:
    """What a meter takes of its store."""
    return take(0, 1, of, 3)


@pytest.fixture
def catalog() -> CatalogView:
    """A catalog that knows acme."""
    return view(plan(), subscription(), metric())


def test_equal_stores_are_equal_whatever_way_they_came_to_be(catalog: CatalogView) -> None:
    """A counter that moved leaves an empty aggregate behind, which says nothing."""
    moved = store(catalog, ("a", JULY, 5), ("b", JULY, 2), ("a", AUGUST, 5), ("b", AUGUST, 2))
    straight = store(catalog, ("a", AUGUST, 5), ("b", AUGUST, 2))
    comparison = compare(image(moved), straight.aggregates, None)
    assert (comparison.compared, comparison.drift) == (1, [])


def test_sums_counts_and_missing_aggregates_are_named(catalog: CatalogView) -> None:
    """Also equal sums of different counters."""
    live, log = store(catalog, ("a", JULY, 5), ("b", JULY, 0)), store(catalog, ("a", JULY, 5), ("c", AUGUST, 9))
    drift = compare(image(live), log.aggregates, None).drift
    assert [(each.key, each.expected, each.found) for each in drift] == [
        ("maps/acme/api_calls/2026-07-01T00:00:00Z", "5 of 1", "5 of 2"),
        ("maps/acme/api_calls/2026-08-01T00:00:00Z", "9 of 1", "0 of 0"),
    ]


def test_periods_that_the_log_does_not_hold_wholly_are_left_out(catalog: CatalogView) -> None:
    """Only where they differ: a late log cannot tell why."""
    live, log = store(catalog, ("a", JULY, 5), ("b", AUGUST, 1)), store(catalog, ("b", AUGUST, 1))
    comparison = compare(image(live), log.aggregates, JULY)
    assert (comparison.compared, comparison.beyond, comparison.drift) == (1, 1, [])


def test_the_budget_makes_wait_for_what_was_used() -> None:
    """Five seconds of work at a tenth of a core are worth fifty, less those that have passed."""
    budget = Budget(0.1, time.monotonic(), time.process_time() - 5)
    assert 30 < budget.owed_s() < 60
    assert Budget(1, time.monotonic() - 3600).owed_s() == 0
