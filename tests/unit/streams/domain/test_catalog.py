"""The catalog as the meter sees it: what applies to whom, what a change touches, names that move between records."""

from datetime import UTC, date, datetime
from itertools import permutations
from typing import Any

import pytest

from schemas.catalog import Aggregation, IntervalUnit
from schemas.periods import Cycle
from schemas.wire import to_micros
from streams.domain.catalog import NOTHING, CatalogView, is_invoiced
from tests.unit.streams.catalogs import ANCHOR, CODE, SERVICE, charge, forget, metric, plan, subscription, tell, view

JULY = to_micros(datetime(2026, 7, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("charge_fields", "order_fields", "expected"),
    [
        ({}, {}, True),
        ({"plan_code": "starter"}, {}, False),
        ({"plan_code": None, "plan": 1}, {}, False),  # an order with a plan code takes charges of that code only
        ({"plan_code": None, "plan": None}, {}, False),
        ({"plan": 1}, {}, True),
        ({"plan": 2}, {}, False),
        ({"plan_code": None, "plan": 1}, {"plan_code": None}, True),
        ({"plan_code": None, "plan": 2}, {"plan_code": None}, False),
        ({"plan_code": None, "plan": None}, {"plan_code": None}, False),
        ({"plan_code": "business", "plan": 1}, {"plan_code": None}, True),
        ({"service": None}, {}, True),
        ({"service": "other"}, {}, False),
        ({"active": False}, {}, False),
        ({"metric": "other"}, {}, False),
    ],
)
def test_charges_that_apply(charge_fields: dict[str, Any], order_fields: dict[str, Any], *, expected: bool) -> None:
    """Never a charge of another plan or service."""
    order = subscription(**order_fields)
    catalog = view(charge(**charge_fields), order)
    assert bool(catalog.charges(order, CODE, JULY)) is expected


@pytest.mark.parametrize(
    ("start", "zone", "expected"),
    [
        ("2026-06-30T23:59:59Z", "UTC", "old"),
        ("2026-07-01T00:00:00Z", "UTC", "new"),
        ("2026-07-01T00:00:00Z", "America/Toronto", "old"),  # there it is still June
        ("2026-07-01T04:00:00Z", "America/Toronto", "new"),
        ("2026-08-31T00:00:00Z", "UTC", "new"),
        ("2026-09-01T00:00:00Z", "UTC", None),
    ],
)
def test_of_a_charges_versions_the_one_counts_that_the_period_starts_in(
    start: str, zone: str, expected: str | None
) -> None:
    """Half-open, by the local date of the period's start: no period is priced by two versions."""
    catalog = view(
        charge(1, code="old", valid_to=date(2026, 7, 1)),
        charge(2, code="new", valid_from=date(2026, 7, 1), valid_to=date(2026, 9, 1)),
    )
    found = catalog.charges(subscription(time_zone=zone), CODE, to_micros(datetime.fromisoformat(start)))
    assert [each.code for each in found] == ([expected] if expected else [])


def test_charges_come_by_code() -> None:
    """Several charges on one metric apply side by side."""
    order = subscription()
    catalog = view(charge(2, code="b"), charge(1, code="c"), charge(3, code="a"))
    assert [each.code for each in catalog.charges(order, CODE, JULY)] == ["a", "b", "c"]


def test_a_metric_of_the_service_comes_before_a_shared_one() -> None:
    """The shared one takes over where the service has none that is active."""
    catalog = view(metric(1, service=None, aggregation=Aggregation.MAX), metric(2))
    found = catalog.metric(SERVICE, CODE)
    assert found is not None
    assert found.id == 2
    tell(catalog, metric(2, active=False))
    found = catalog.metric(SERVICE, CODE)
    assert found is not None
    assert found.id == 1
    assert catalog.metric("other", CODE) is not None
    assert catalog.metric(SERVICE, "unheard_of") is None


def test_what_changes_touch() -> None:
    """A metric or charge touches totals of its metric, an order itself, a plan its orders, the rest nothing."""
    catalog = view(plan(), subscription(), subscription(2, external_id="other", plan=2))
    assert tell(catalog, metric()).metrics == {(SERVICE, CODE)}
    assert tell(catalog, charge(service=None)).metrics == {(None, CODE)}
    assert tell(catalog, subscription(state="4_paused")).subscriptions == {(SERVICE, "acme")}
    assert tell(catalog, plan(count=2)).subscriptions == {(SERVICE, "acme")}


def test_an_unchanged_record_touches_nothing() -> None:
    """A feed that publishes everything again causes no work; the position moves on all the same."""
    catalog = view(charge())
    assert tell(catalog, charge()) == NOTHING
    assert catalog.next_offset == 2


def test_a_charge_that_changes_its_metric_touches_both() -> None:
    """The former metric loses the charge, the new one gets it."""
    catalog = view(charge())
    assert tell(catalog, charge(metric="storage")).metrics == {(SERVICE, CODE), (SERVICE, "storage")}
    assert catalog.charges(subscription(), CODE, JULY) == []
    assert len(catalog.charges(subscription(), "storage", JULY)) == 1


def test_a_tombstone_removes_its_entry() -> None:
    """What is deleted applies no more and touches what it touched."""
    catalog = view(plan(), metric(), charge(), subscription())
    assert forget(catalog, charge()).metrics == {(SERVICE, CODE)}
    assert catalog.charges(subscription(), CODE, JULY) == []
    assert forget(catalog, subscription()).subscriptions == {(SERVICE, "acme")}
    assert catalog.subscription(SERVICE, "acme") is None
    assert forget(catalog, subscription()) == NOTHING


@pytest.mark.parametrize("value", [b"", b"{", b'{"kind":"novelty","id":1}', b'{"kind":"metric"}', b"\xff"])
def test_unreadable_records_count_as_absent(value: bytes) -> None:
    """A kind of a newer release, or garbage, takes away what was there under its key and nothing else."""
    catalog = view(metric(), plan())
    touched = catalog.update("metric/1", value, 9)
    assert touched.metrics == {(SERVICE, CODE)}
    assert catalog.metric(SERVICE, CODE) is None
    assert catalog.next_offset == 10
    assert catalog.update("novelty/1", value, 10) == NOTHING


def test_an_external_id_moves_between_orders_in_any_order_of_their_records() -> None:
    """A renewed order takes the id over; the former one's last record must not take it away again."""
    steps = [
        ("new", subscription(2)),
        ("old", subscription(1, external_id="former")),
    ]
    for order in permutations(steps):
        catalog = view(subscription(1))
        for _, record in order:
            tell(catalog, record)
        found = catalog.subscription(SERVICE, "acme")
        assert found is not None
        assert found.id == 2


def test_of_two_orders_with_one_id_the_running_one_counts() -> None:
    """Whichever was told last: equal logs must give equal answers after compaction, too."""
    for records in permutations([subscription(1), subscription(2, state="6_churn")]):
        found = view(*records).subscription(SERVICE, "acme")
        assert found is not None
        assert found.id == 1


def test_a_metric_made_anew_survives_the_tombstone_of_the_former_one() -> None:
    """Same code, new record: the late tombstone removes the old record only."""
    catalog = view(metric(1))
    tell(catalog, metric(2, aggregation=Aggregation.MAX))
    forget(catalog, metric(1))
    found = catalog.metric(SERVICE, CODE)
    assert found is not None
    assert found.aggregation is Aggregation.MAX


def test_cycle_needs_order_and_plan() -> None:
    """Either one missing means: wait."""
    catalog = view(subscription(time_zone="America/Toronto"))
    assert catalog.cycle(SERVICE, "acme") is None
    tell(catalog, plan(count=3))
    assert catalog.cycle(SERVICE, "acme") == Cycle(ANCHOR, IntervalUnit.MONTH, 3, "America/Toronto")
    assert catalog.cycle(SERVICE, "other") is None


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "/etc/passwd", "../UTC", "America"])
def test_an_unknown_time_zone_means_wait(zone: str) -> None:
    """No boundary is guessed, and nothing raises."""
    order = subscription(time_zone=zone, next_invoice_date=date(2026, 9, 1))
    assert view(plan(), order).cycle(SERVICE, "acme") is None
    assert not is_invoiced(0, order)


@pytest.mark.parametrize(
    ("end", "next_invoice", "zone", "expected"),
    [
        ("2026-08-01T00:00+00:00", date(2026, 8, 1), "UTC", False),
        ("2026-08-01T00:00+00:00", date(2026, 9, 1), "UTC", True),
        ("2026-08-01T00:00+00:00", None, "UTC", False),
        ("2026-08-01T04:00+00:00", date(2026, 8, 1), "America/Toronto", False),
        ("2026-08-01T04:00+00:00", date(2026, 8, 2), "America/Toronto", True),
        # The last instant of 31 July in Toronto is August in UTC already.
        ("2026-08-01T03:59+00:00", date(2026, 8, 1), "America/Toronto", True),
    ],
)
def test_invoiced_periods(end: str, next_invoice: date | None, zone: str, *, expected: bool) -> None:
    """A period is invoiced once the next invoice date has moved past its end, in the order's own days."""
    order = subscription(next_invoice_date=next_invoice, time_zone=zone)
    assert is_invoiced(to_micros(datetime.fromisoformat(end).astimezone(UTC)), order) is expected


def test_nothing_is_known_at_first() -> None:
    """An empty catalog answers every question."""
    catalog = CatalogView()
    assert catalog.metric(SERVICE, CODE) is None
    assert catalog.subscription(SERVICE, "acme") is None
    assert catalog.charges(subscription(), CODE, JULY) == []
