"""What an audit calls drift, and what it only says of."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.catalog import Aggregation, ChargeModel
from schemas.derived import Overage, Total, Version
from streams.audit.judging import Horizon, Outcome, Report, Where, as_document, judge_overage, judge_total

JULY, AUGUST = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)
HORIZON = Horizon(epoch=1, first=0, end=100, log_end=120, published=90, catalog_offset=5, starts_at=JULY)
SHARED = {"service": "maps", "subscription": "acme", "metric": "calls", "period_start": JULY, "period_end": AUGUST}


def total(quantity: int, source: int, counters: int = 1, **fields: Any) -> Total:
    """A total of July as of a source offset."""
    facts = {"version": Version(1, source, 5), "aggregation": Aggregation.SUM, "counters": counters}
    return Total(**SHARED | facts | {"quantity": Decimal(quantity)} | fields)


def overage(amount: str, source: int = 50, **fields: Any) -> Overage:
    """One started thousand after another, at 0.10."""
    batches = Decimal(amount) * 10
    facts = {
        "version": Version(1, source, 5),
        "charge": "fee",
        "total": batches * 1000,
        "quota": Decimal(0),
        "billable_units": batches * 1000,
        "batches": batches,
        "batch_size": Decimal(1000),
        "price_per_unit": Decimal("0.1"),
        "charge_model": ChargeModel.STANDARD,
        "amount": Decimal(amount),
        "currency": "CAD",
        "counters": 1,
    }
    return Overage(**SHARED | facts | fields)


@pytest.mark.parametrize(
    ("expected", "found", "outcome"),
    [
        (total(5, 50), total(5, 50), Outcome.EQUAL),
        (total(5, 50), total(5, 40), Outcome.EQUAL),  # a mark without a change does not age it
        (None, total(0, 50, counters=0), Outcome.EQUAL),  # its counters have moved away
        (total(0, 50, counters=0), None, Outcome.EQUAL),
        (total(5, 50), total(6, 50), Outcome.DRIFT),
        (total(5, 50, counters=2), total(5, 50), Outcome.DRIFT),
        (total(5, 50), None, Outcome.DRIFT),
        (total(5, 90), None, Outcome.PENDING),  # the meter has published what is older than 90
        (total(5, 95), total(4, 50), Outcome.PENDING),
        (total(5, 89), total(4, 50), Outcome.DRIFT),
        (total(5, 50), total(6, 100), Outcome.PENDING),  # it went on after the replay's end
        (total(5, 50), total(6, 120), Outcome.DRIFT),  # the log ends before that
        (total(5, 50), total(6, 60), Outcome.DRIFT),  # nothing changed it there
        (None, total(5, 50), Outcome.DRIFT),
        (None, total(5, 50, version=Version(0, 50, 5)), Outcome.BEYOND),
    ],
)
def test_totals_are_judged_at_equal_ages(expected: Total | None, found: Total | None, outcome: Outcome) -> None:
    """Different values are drift unless one of them is older for a reason."""
    assert judge_total("k", expected, found, HORIZON).outcome is outcome


def test_a_total_whose_counters_left_the_log_is_not_judged() -> None:
    """Only while the log begins after the period did; a period that the log holds wholly is judged as ever."""
    cut = replace(HORIZON, first=40, starts_at=datetime(2026, 7, 9, tzinfo=UTC))
    assert judge_total("k", total(5, 50), total(7, 50), cut).outcome is Outcome.BEYOND
    assert judge_total("k", None, total(7, 20), cut).outcome is Outcome.BEYOND
    whole = replace(cut, starts_at=datetime(2026, 6, 30, tzinfo=UTC))
    assert judge_total("k", total(5, 50), total(7, 50), whole).outcome is Outcome.DRIFT


@pytest.mark.parametrize(
    ("expected", "found", "outcome"),
    [
        (overage("0.1"), overage("0.1"), Outcome.EQUAL),
        (overage("0.1"), overage("0.2"), Outcome.DRIFT),
        (overage("0.1"), overage("0.1", currency="USD"), Outcome.DRIFT),
        (overage("0.1"), None, Outcome.DRIFT),
        (overage("0.1", source=95), None, Outcome.PENDING),
        (None, overage("0", price_per_unit=Decimal(0)), Outcome.EQUAL),  # withdrawn
        (None, overage("0.1"), Outcome.DRIFT),
        (overage("0.1"), overage("0.2", version=Version(1, 50, 6)), Outcome.PENDING),  # a newer catalog
    ],
)
def test_overage_is_judged_with_its_terms(expected: Overage | None, found: Overage | None, outcome: Outcome) -> None:
    """Amount and terms must be those of the replay, rated by the same catalog."""
    assert judge_overage("k", expected, found, HORIZON).outcome is outcome


def test_a_report_counts_everything_and_lists_what_differs() -> None:
    """Equal comparisons are a number, the others an entry each."""
    report = Report()
    report.note(judge_total("a", total(5, 50), total(5, 50), HORIZON))
    report.note(judge_total("b", total(5, 50), None, HORIZON))
    document = as_document(report)
    assert (document["compared"], document["equal"], document["drift"]) == (2, 1, 1)
    assert document["by_source"]["totals.v1"]["compared"] == 2
    [finding] = document["findings"]
    assert (finding["where"], finding["key"], finding["found"]) == (Where.TOTALS, "b", "nothing")
