"""The partition store, case by case; `test_partition_store_stateful` tries everything at once."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.catalog import Aggregation, IntervalUnit
from schemas.periods import Cycle
from schemas.wire import CounterColumns, to_micros
from streams.domain.catalog import CatalogView
from streams.store.aggregates import UNASSIGNED
from streams.store.partition_store import Applied, PartitionStore
from tests.unit.streams.catalogs import CODE, columns, metric, plan, subscription, tell, view

JULY = to_micros(datetime(2026, 7, 3, tzinfo=UTC))
AUGUST = to_micros(datetime(2026, 8, 3, tzinfo=UTC))


def store_of(aggregation: Aggregation = Aggregation.SUM, **fields: Any) -> tuple[PartitionStore, CatalogView]:
    """A store whose catalog knows the subscription `acme` and one metric."""
    catalog = view(plan(), subscription(), metric(aggregation=aggregation, allow_negative=True, **fields))
    return PartitionStore(1, catalog), catalog


def one(key: str, quantity: int | Decimal, time: int = JULY, revision: int = 0) -> CounterColumns:
    """A batch of a single counter."""
    return columns(("acme", CODE, key, time, quantity), revisions=[revision])


def values(store: PartitionStore) -> list[Decimal]:
    """The totals of all aggregates, in the order of their making."""
    return list(store.totals(range(len(store.aggregates))).values())


# A=100, then A=150 newer, B=50, C=50 with the latest time: the definition's own example.
EXAMPLE = [("A", 100, 0), ("A", 150, 0), ("B", 50, 1), ("C", 50, 2)]


@pytest.mark.parametrize(
    ("aggregation", "total", "with_c_at_zero"),
    [
        (Aggregation.SUM, 250, 200),
        (Aggregation.MAX, 150, 150),
        (Aggregation.LAST, 50, 0),
        (Aggregation.UNIQUE_COUNT, 2, 3),
    ],
)
def test_aggregation_vectors(aggregation: Aggregation, total: int, with_c_at_zero: int) -> None:
    """Last value per key; a late old copy changes nothing; replacing C by 0 is seen by each aggregation."""
    store, _ = store_of(aggregation)
    for offset, (key, quantity, later) in enumerate(EXAMPLE):
        store.apply(offset, one(key, quantity, JULY + later, revision=1))
    assert values(store) == [total]
    assert store.apply(4, one("A", 100)).superseded == 1
    assert values(store) == [total]
    store.apply(5, one("C", 0, JULY + 2, revision=1))
    assert values(store) == [with_c_at_zero]


def test_the_same_batch_again_changes_nothing() -> None:
    """No mark, no version: nothing to publish."""
    store, _ = store_of()
    batch = columns(("acme", CODE, "a", JULY, Decimal("1.5")), ("acme", CODE, "b", JULY, 10**29))
    assert store.apply(0, batch) == Applied(inserted=2)
    for number, mark in store.aggregates.marked():
        store.aggregates.unmark(number, mark)
    assert store.apply(1, batch) == Applied(duplicates=2)
    assert store.aggregates.marked() == []
    assert int(store.aggregates.arrays["changed"][0]) == 0
    assert store.applied_offset == 1


def test_a_resend_does_not_become_the_last_one() -> None:
    """Two counters at one time: the later in the log is last, and an identical resend of the other is no news."""
    for size in (1, 10**29):
        store, _ = store_of(Aggregation.LAST)
        store.apply(0, one("a", size))
        store.apply(1, one("b", 2 * size))
        store.apply(2, one("a", size))
        assert values(store) == [2 * size]


def test_of_two_counters_in_one_record_the_later_is_the_last() -> None:
    """Whatever their keys' history: the place in the log decides, also within a record."""
    store, _ = store_of(Aggregation.LAST)
    store.apply(0, columns(("acme", CODE, "a", JULY, 1), ("acme", CODE, "b", JULY, 2)))
    assert values(store) == [2]
    store.apply(1, columns(("acme", CODE, "b", JULY, 3), ("acme", CODE, "a", JULY, 4)))
    assert values(store) == [4]


def test_a_greater_revision_becomes_the_last_one() -> None:
    """The same value with a greater revision is younger, so `last` moves and is published."""
    store, _ = store_of(Aggregation.LAST)
    store.apply(0, one("a", 1))
    store.apply(1, one("b", 2))
    for number, mark in store.aggregates.marked():
        store.aggregates.unmark(number, mark)
    store.apply(2, one("a", 1, revision=1))
    assert values(store) == [1]
    assert store.aggregates.marked() != []


def test_a_key_moves_between_periods() -> None:
    """The former period loses the counter and both are published, the emptied one as zero."""
    store, _ = store_of()
    store.apply(0, one("a", 5))
    for number, mark in store.aggregates.marked():
        store.aggregates.unmark(number, mark)
    store.apply(1, one("a", 7, AUGUST))
    assert values(store) == [0, 7]
    assert {number for number, _ in store.aggregates.marked()} == {0, 1}
    assert store.aggregates.arrays["changed"][:2].tolist() == [1, 1]


def test_sums_cross_words_in_both_directions() -> None:
    """Billions of the largest quantities, then taken back one by one."""
    store, _ = store_of()
    largest = 4611686018427
    for offset, sign in enumerate([-1, 1, -1]):
        batch = columns(
            *(("acme", CODE, f"k{i}", JULY, sign * largest) for i in range(9000)), revisions=[offset] * 9000
        )
        store.apply(offset, batch)
        assert values(store) == [sign * largest * 9000]
    store.apply(3, columns(*(("acme", CODE, f"k{i}", JULY, 0) for i in range(9000)), revisions=[9] * 9000))
    assert values(store) == [0]
    assert store.aggregates.arrays["sum_high"][0] == 0
    assert store.aggregates.arrays["sum_low"][0] == 0


def test_wide_and_narrow_values_replace_each_other() -> None:
    """A key may change between what fits the columns and what does not."""
    store, _ = store_of()
    quantities: list[int | Decimal] = [1, 10**29, Decimal("1E-18"), 2, 10**20, 10**20 + 1, 3]
    for offset, quantity in enumerate(quantities):
        store.apply(offset, one("a", quantity))
        assert values(store) == [Decimal(quantity)]
    assert store.wide == {}


def test_a_wide_value_twice_in_one_batch() -> None:
    """The later in the batch wins, whichever of them fits."""
    for quantities in ((10**29, 1), (1, 10**29), (10**29, 10**28)):
        store, _ = store_of()
        store.apply(0, columns(*(("acme", CODE, "a", JULY, quantity) for quantity in quantities)))
        assert values(store) == [quantities[-1]]


@pytest.mark.parametrize("aggregation", [Aggregation.MAX, Aggregation.LAST])
def test_extremes_of_negative_and_wide_values(aggregation: Aggregation) -> None:
    """Zero is the value of nothing, not the least value there is."""
    store, _ = store_of(aggregation)
    store.apply(0, columns(("acme", CODE, "a", JULY, -(10**29)), ("acme", CODE, "b", JULY, -5)))
    assert values(store) == [-5]
    store.apply(1, one("b", -(10**30 - 1), revision=1))
    assert values(store) == [-(10**29) if aggregation is Aggregation.MAX else -(10**30 - 1)]


def test_unique_count_by_property() -> None:
    """Distinct values of the property, whatever the quantities; one without it counts as its own value."""
    store, _ = store_of(Aggregation.UNIQUE_COUNT, unique_property="seat")
    seats = [{"seat": "ann"}, {"seat": "bob"}, {"seat": "ann"}, None]
    store.apply(0, columns(*(("acme", CODE, f"k{i}", JULY, i) for i in range(4)), properties=seats))
    assert values(store) == [3]


def test_unique_count_takes_equal_decimals_for_one() -> None:
    """1, 1.0 and 1.00 are one quantity."""
    store, _ = store_of(Aggregation.UNIQUE_COUNT)
    store.apply(0, columns(*(("acme", CODE, f"k{i}", JULY, q) for i, q in enumerate([1, Decimal("1.0"), 2]))))
    assert values(store) == [2]


def test_aggregates_beyond_their_first_room() -> None:
    """Thousands of aggregates keep their numbers and values while arrays and index grow."""
    names = [f"s{i}" for i in range(3000)]
    orders = [subscription(i + 1, external_id=name) for i, name in enumerate(names)]
    store = PartitionStore(5, view(plan(), metric(), *orders))
    for offset in range(0, 3000, 100):
        store.apply(offset, columns(*((name, CODE, "k", JULY, i) for i, name in enumerate(names[: offset + 100]))))
    assert values(store) == list(range(3000))
    assert store.rows.size == 3000


@pytest.mark.parametrize("sizes", [[10_000] * 4, [1] + [4095] * 5, [2867, 1, 1, 10_000, 3]])
def test_rows_survive_growth(sizes: list[int]) -> None:
    """Each key is found again after every growth of columns and index, however the batches are cut."""
    store, _ = store_of()
    made = 0
    for offset, size in enumerate(sizes):
        rows = [("acme", CODE, f"k{i}", JULY, 1) for i in range(made, made + size)]
        assert store.apply(offset, columns(*rows)).inserted == size
        made += size
        again = [("acme", CODE, f"k{i}", JULY, 1) for i in range(0, made, 7)]
        assert store.apply(offset, columns(*again)).duplicates == len(again)
    assert values(store) == [made]
    assert len(store.rows.slots) * 0.7 >= store.rows.size


def test_views_of_the_columns_outlive_growth() -> None:
    """Who looks at a column meanwhile keeps what he has seen; the store goes on elsewhere."""
    store, _ = store_of()
    store.apply(0, columns(("acme", CODE, "k", JULY, 7)))
    seen = store.rows.used("quantity")
    store.apply(1, columns(*(("acme", CODE, f"k{i}", JULY, 1) for i in range(9000))))
    store.apply(2, columns(("acme", CODE, "k", JULY, 8)))
    assert seen.tolist() == [7_000_000]
    assert values(store) == [9008]


def test_rows_are_found_while_the_index_moves() -> None:
    """Small batches after a growth: some rows are in the new index, some still in the former one."""
    store, _ = store_of()
    store.apply(0, columns(*(("acme", CODE, f"k{i}", JULY, 1) for i in range(45_870))))
    made, seen = 45_870, 0
    for offset in range(1, 40):
        rows = [("acme", CODE, f"k{i}", JULY, 1) for i in (made, *range(offset % 997, made, 997))]
        assert store.apply(offset, columns(*rows)).inserted == 1
        made += 1
        seen += len(store.rows.former) > 1
    assert seen > 0
    assert len(store.rows.former) == 1
    assert values(store) == [made]


def test_unknown_subscriptions_wait_and_are_placed_once_known() -> None:
    """Nothing is lost meanwhile, and the waiting aggregate is empty afterwards."""
    catalog = view(plan(), metric())
    store = PartitionStore(1, catalog)
    store.apply(0, columns(("acme", CODE, "a", JULY, 1), ("acme", CODE, "b", AUGUST, 2), ("other", CODE, "a", JULY, 4)))
    assert {key.period_start for key in store.aggregates.keys} == {UNASSIGNED}
    tell(catalog, subscription())
    store.reassign_subscription("maps", "acme")
    assert values(store) == [0, 4, 1, 2]
    assert store.aggregates.arrays["count"][:4].tolist() == [0, 1, 1, 1]
    # Replacing a counter that waited finds it in its new place.
    assert store.apply(1, one("a", 10)).replaced == 1
    assert values(store) == [0, 4, 10, 2]


def test_a_total_of_counters_that_waited_is_as_young_as_they_are() -> None:
    """Whoever reads the log up to its version finds all of its counters."""
    catalog = view(plan(), metric())
    store = PartitionStore(1, catalog)
    for offset, time in enumerate((JULY, JULY, AUGUST)):
        store.apply(offset, one(f"k{offset}", 1, time))
    tell(catalog, subscription())
    store.reassign_subscription("maps", "acme")
    assert values(store) == [0, 2, 1]
    assert store.aggregates.arrays["changed"][:3].tolist() == [2, 2, 2]


def test_a_changed_interval_moves_counters_and_empties_the_former_periods() -> None:
    """The emptied aggregates are marked: what was published of them must become zero."""
    store, catalog = store_of()
    store.apply(0, columns(("acme", CODE, "a", JULY, 1), ("acme", CODE, "b", AUGUST, 2)))
    for number, mark in store.aggregates.marked():
        store.aggregates.unmark(number, mark)
    tell(catalog, plan(unit=IntervalUnit.YEAR))
    store.reassign_subscription("maps", "acme")
    assert [(key.period_end - key.period_start) // 86_400_000_000 for key in store.aggregates.keys] == [365, 31]
    assert values(store) == [3, 0]
    assert {number for number, _ in store.aggregates.marked()} == {0, 1}


class AbsurdCatalog(CatalogView):
    """A catalog with an interval whose boundaries lie outside the calendar."""

    def cycle(self, service: str, external_id: str) -> Cycle:  # noqa: ARG002
        """Ten thousand years."""
        return Cycle(date(2026, 7, 1), IntervalUnit.YEAR, 10_000, "UTC")


def test_periods_outside_the_calendar_wait() -> None:
    """An absurd interval holds counters back; it never stops the partition."""
    store = PartitionStore(1, AbsurdCatalog())
    store.apply(0, columns(("acme", CODE, "a", JULY, 1), ("acme", CODE, "b", 0, 1)))
    assert [key.period_start for key in store.aggregates.keys] == [UNASSIGNED]
    store.reassign([0])
    assert store.aggregates.arrays["count"][0] == 2


def test_counters_that_reach_over_their_period_are_reported() -> None:
    """They count at their start."""
    store, _ = store_of()
    end = to_micros(datetime(2026, 8, 1, tzinfo=UTC))
    applied = store.apply(0, columns(("acme", CODE, "a", end - 1, 1), ("acme", CODE, "b", end - 1_000_000, 1)))
    assert applied.straddling == 1
    assert values(store) == [2]


def test_keys_that_only_look_alike_stay_apart() -> None:
    """Subscription, metric and key cannot be shifted into each other."""
    store = PartitionStore(1, CatalogView())
    rows = [
        ("a", "m", "b/c", JULY, 1),
        ("a/b", "m", "c", JULY, 1),
        ("a/", "m", "b/c", JULY, 1),
        ("a", "m.b", "/c", JULY, 1),
    ]
    assert store.apply(0, columns(*rows)).inserted == 4


def test_the_seed_decides_the_hashes() -> None:
    """Nobody who does not know it can craft keys that collide."""
    stores = [PartitionStore(seed, CatalogView()) for seed in range(10)]
    for store in stores:
        store.apply(0, one("a", 1))
    assert len({int(store.rows.used("low")[0]) for store in stores}) == 10
