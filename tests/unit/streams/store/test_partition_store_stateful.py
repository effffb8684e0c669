"""The partition store against a dict: any counters in any order, catalog changes and snapshots in between."""

import shutil
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas.catalog import Aggregation, IntervalUnit
from schemas.wire import CounterColumns, from_micros
from streams.store import snapshots
from streams.store.aggregates import UNASSIGNED
from streams.store.columns import COLUMN_TYPES
from streams.store.counters import CounterArrays, merged
from streams.store.partition_store import PartitionStore
from tests.unit.streams.catalogs import SERVICE, columns, forget, metric, plan, subscription, tell, view
from tests.unit.streams.store.naive import DAY, NaiveStore, Value

if TYPE_CHECKING:
    from streams.domain.catalog import CatalogView

SPLIT = "split"
KINDS = {
    "summed": Aggregation.SUM,
    SPLIT: Aggregation.SUM,
    "peak": Aggregation.MAX,
    "level": Aggregation.LAST,
    "seats": Aggregation.UNIQUE_COUNT,
}
SUBSCRIPTIONS = ("alpha", "beta", "gamma/delta")
IDS = {name: number for number, name in enumerate(SUBSCRIPTIONS, 1)}
TIMES = [
    int(datetime(2026, month, day, tzinfo=UTC).timestamp()) * 1_000_000
    for month in (6, 7, 8)
    for day in (1, 15, 31)
    if (month, day) != (6, 31)
]
LENGTHS = [1_000_000, *(days * DAY for days in (1, 10, 17, 40, 99, 200))]
EPOCH = 3

Row = tuple[str, str, str, int, int | Decimal, int, str | None, int]

quantities = st.one_of(
    st.integers(-5, 5),
    st.decimals(-100, 100, places=7),
    st.integers(-(2**63), 2**63),
    st.sampled_from([10**30 - 1, -(10**30 - 1), 4611686018427, 4611686018428]),
)
counters = st.tuples(
    st.sampled_from(SUBSCRIPTIONS),
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["k1", "k2", "k3", "ключ"]),
    st.sampled_from(TIMES),
    quantities,
    st.integers(0, 2),
    st.sampled_from([None, "x", "y"]),
    st.sampled_from(LENGTHS),
)


class StoreMachine(RuleBasedStateMachine):
    """Drives store and model alike and compares every total after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.model = NaiveStore(unknown={"gamma/delta"})
        self.offset = -1
        self.dirty_since: dict[int, int] = {}

    @initialize(seed=st.integers(0, 2**64 - 1))
    def start(self, seed: int) -> None:
        """Two subscriptions are known, the third is not yet."""
        metrics = [
            metric(
                number,
                code=code,
                aggregation=kind,
                unique_property="seat",
                allow_negative=True,
                split_pro_rata=code == SPLIT,
            )
            for number, (code, kind) in enumerate(KINDS.items(), 1)
        ]
        orders = [self._order(name) for name in ("alpha", "beta")]
        self.catalog: CatalogView = view(plan(1), plan(2, unit=IntervalUnit.YEAR), *metrics, *orders)
        self.store, self.twin = PartitionStore(seed, self.catalog), PartitionStore(seed, self.catalog)

    @rule(run=st.lists(st.tuples(st.lists(counters, max_size=8), st.integers(0, 2)), min_size=1, max_size=3))
    def apply(self, run: list[tuple[list[Row], int]]) -> None:
        """Usage records, to the twin in one step; offsets may be missing."""
        steps = []
        for rows, gap in run:
            self.offset += 1 + gap
            batch = columns(
                *((row[0], row[1], row[2], row[3], row[4]) for row in rows),
                revisions=[row[5] for row in rows],
                properties=[{"seat": row[6]} for row in rows],
                lengths=[row[7] for row in rows],
            )
            self._apply(batch)
            steps.append(CounterArrays.of(batch, self.offset))
            self._tell_the_model(rows)
        self.twin.apply_arrays(self.offset, merged(steps))

    def _apply(self, batch: CounterColumns) -> None:
        self.store.apply(self.offset, batch)

    def _tell_the_model(self, rows: list[Row]) -> None:
        for position, (name, code, key, time, quantity, revision, seat, length) in enumerate(rows):
            # The seat, and the end, are looked at where the metric asks for it, and nowhere else.
            counted = seat if KINDS[code] is Aggregation.UNIQUE_COUNT else None
            lasting = length if code == SPLIT else 0
            value = Value(Decimal(quantity), time, revision, self.offset, position, counted, lasting)
            self.model.put(name, code, key, value)

    @rule(name=st.sampled_from(SUBSCRIPTIONS), yearly=st.booleans())
    def subscribe(self, name: str, *, yearly: bool) -> None:
        """The catalog learns of a subscription, or changes its plan."""
        self.model.unknown.discard(name)
        (self.model.yearly.add if yearly else self.model.yearly.discard)(name)
        self._changed(tell(self.catalog, self._order(name, yearly=yearly)).subscriptions)

    @rule(name=st.sampled_from(SUBSCRIPTIONS))
    def forget(self, name: str) -> None:
        """The catalog loses a subscription: its counters wait."""
        self.model.unknown.add(name)
        self._changed(forget(self.catalog, self._order(name)).subscriptions)

    @rule(names=st.data())
    def publish(self, names: st.DataObject) -> None:
        """Some marks are cleared, as after an acknowledgement; a mark made meanwhile stays."""
        marked = self.store.aggregates.marked()
        assert [mark for _, mark in marked] == sorted(mark for _, mark in marked)
        for number, mark in names.draw(st.lists(st.sampled_from(marked), unique=True)) if marked else ():
            self.store.aggregates.unmark(number, mark - 1)
            assert number in {dirty for dirty, _ in self.store.aggregates.marked()}
            self.store.aggregates.unmark(number, mark)
            self.twin.aggregates.unmark(number, int(self.twin.aggregates.arrays["dirty"][number]))
            assert number not in {dirty for dirty, _ in self.store.aggregates.marked()}

    @rule()
    def restart(self) -> None:
        """State survives a snapshot, marks included."""
        marked = self.store.aggregates.marked()
        snapshots.write(snapshots.take(self.store, snapshots.Context(EPOCH)), self.directory)
        loaded = snapshots.load_newest(self.directory, EPOCH, self.catalog)
        assert loaded is not None
        former, (self.store, _) = self.store, loaded
        assert self.store.applied_offset == former.applied_offset
        assert self.store.seed == former.seed
        assert self.store.aggregates.marked() == marked
        assert self.store.wide == former.wide
        assert self.store.splits.of_row == former.splits.of_row
        assert self.store.splits.treated == former.splits.treated

    @precondition(lambda self: self.offset >= 0)
    @rule()
    def start_over_from_the_catalog(self) -> None:
        """Assigning everything anew changes nothing while the catalog does not."""
        before = self._totals()
        for store in (self.store, self.twin):
            store.reassign(range(len(store.aggregates)))
        assert self._totals() == before

    @invariant()
    def totals_are_those_of_the_model(self) -> None:
        """Every total, and nothing besides."""
        if self.offset >= 0:
            assert self._totals() == self.model.totals(KINDS)

    @invariant()
    def the_twin_has_the_same_state(self) -> None:
        """Row by row and aggregate by aggregate, however the records were cut into steps and whatever was reloaded."""
        if self.offset >= 0:
            assert self.twin.applied_offset == self.store.applied_offset
            assert (self.twin.wide, self.twin.rows.size) == (self.store.wide, self.store.rows.size)
            assert self.twin.distinct.counted_by == self.store.distinct.counted_by
            assert self.twin.splits.of_row == self.store.splits.of_row
            assert self.twin.aggregates.keys == self.store.aggregates.keys
            size = len(self.store.aggregates)
            for name, array in self.store.aggregates.arrays.items():
                mine, twins = array[:size], self.twin.aggregates.arrays[name][:size]
                # In one step, marks of what splits move to other periods come after all others.
                same = (mine != 0) == (twins != 0) if name == "dirty" else mine == twins
                assert same.all(), name
            for name in COLUMN_TYPES:
                assert self.store.rows.used(name).tolist() == self.twin.rows.used(name).tolist(), name

    def teardown(self) -> None:
        """Remove the snapshots."""
        shutil.rmtree(self.directory)

    def _totals(self) -> dict[tuple[str, str, str], tuple[Decimal, int]]:
        aggregates = self.store.aggregates
        found = {}
        for number, total in self.store.totals(range(len(aggregates))).items():
            key, count = aggregates.keys[number], int(aggregates.arrays["count"][number])
            if not count:
                assert total == 0
            elif key.period_start != UNASSIGNED:
                start, end = from_micros(key.period_start), from_micros(key.period_end)
                yearly = (end - start).days > 31
                found[key.subscription, key.metric, f"{start:%Y}" if yearly else f"{start:%Y-%m}"] = (total, count)
        return found

    def _changed(self, touched: frozenset[tuple[str, str]]) -> None:
        for service, name in touched:
            assert service == SERVICE
            for store in (self.store, self.twin):
                store.reassign_subscription(service, name)

    def _order(self, name: str, *, yearly: bool = False):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return subscription(IDS[name], external_id=name, plan=2 if yearly else 1, anchor=date(2026, 1, 1))


class ClosingMachine(StoreMachine):
    """The store drops rows at any moment; late counters have it made anew from all that was ever applied."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[tuple[int, CounterColumns]] = []

    @rule(drawn=st.data(), is_given_up=st.booleans())
    def close(self, drawn: st.DataObject, *, is_given_up: bool) -> None:
        """Rows of some aggregates go; given up on the way, nothing has happened."""
        aggregates = self.store.aggregates
        placed = [number for number, key in enumerate(aggregates.keys) if key.period_start != UNASSIGNED]
        numbers = drawn.draw(st.lists(st.sampled_from(placed), unique=True)) if placed else []
        before, rows = self._totals(), self.store.rows
        steps = self.store.close(numbers)
        next(steps)
        if is_given_up:
            del steps
            assert self.store.rows is rows
        else:
            for _ in steps:
                pass
            left = np.flatnonzero(np.isin(self.store.rows.used("aggregate"), numbers))
            assert set(left.tolist()) <= self.store.splits.of_row.keys(), "others count in periods that stay"
        assert self._totals() == before

    def the_twin_has_the_same_state(self) -> None:
        """The twin never drops a row: it has the same totals."""

    def publish(self) -> None:
        """Marks are not compared here."""

    @invariant()
    def the_twin_has_the_same_totals(self) -> None:
        """Sums and counts too, as an audit compares them."""
        assert _facts(self.store) == _facts(self.twin)

    def _apply(self, batch: CounterColumns) -> None:
        self.history.append((self.offset, batch))
        prepared = self.store.prepare(CounterArrays.of(batch, self.offset))
        if prepared.late.size:
            self._make_anew()
        else:
            self.store.apply_prepared(self.offset, prepared)

    def _changed(self, touched: frozenset[tuple[str, str]]) -> None:
        super()._changed(touched)
        if self.store.closed.is_torn or self.store.outdated():
            self._make_anew()

    def _make_anew(self) -> None:
        self.store = PartitionStore(self.store.seed, self.catalog)
        for offset, batch in self.history:
            self.store.apply(offset, batch)


def _facts(store: PartitionStore) -> dict[tuple[str, str, str, int], tuple[int, int]]:
    counts = store.aggregates.arrays["count"].tolist()
    return {
        key[:4]: (store.aggregates.fixed_sum(number), counts[number])
        for number, key in enumerate(store.aggregates.keys)
        if counts[number]
    }


TestClosing = ClosingMachine.TestCase
TestClosing.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

TestPartitionStore = StoreMachine.TestCase
TestPartitionStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
