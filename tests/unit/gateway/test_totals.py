"""What an app sees of its subscriptions' usage."""

from datetime import UTC, datetime
from decimal import Decimal

import httpx

from producers.gateway.totals import PERIODS_MAX, TotalsView
from schemas.catalog import Aggregation
from schemas.derived import Total, Version


def total(month: int, quantity: str, offset: int = 1, service: str = "maps", metric: str = "api_calls") -> Total:
    """Return the total of one month of `eu/sub-1`."""
    return Total(
        service=service,
        subscription="eu/sub-1",
        metric=metric,
        period_start=datetime(2026, month, 1, tzinfo=UTC),
        period_end=datetime(2026, month + 1, 1, tzinfo=UTC),
        version=Version(1, offset, 0),
        aggregation=Aggregation.SUM,
        quantity=Decimal(quantity),
        counters=3,
    )


def told(view: TotalsView, *totals: Total) -> None:
    """Let the topic tell totals."""
    for one in totals:
        view.apply(one.key, one.model_dump_json().encode())


async def test_usage_is_shown_newest_period_first(client: httpx.AsyncClient, totals: TotalsView) -> None:
    """Exact, as text; of the calling service only, though another has a subscription of that name."""
    told(totals, total(7, "1.50"), total(8, "6000000"), total(8, "9", service="other"), total(8, "2", metric="disk"))
    answer = await client.get("/subscriptions/eu/sub-1/usage")
    assert answer.status_code == 200
    assert answer.json()["external_id"] == "eu/sub-1"
    assert [(one["metric"], one["period_start"], one["quantity"]) for one in answer.json()["usage"]] == [
        ("api_calls", "2026-08-01T00:00:00Z", "6000000"),
        ("api_calls", "2026-07-01T00:00:00Z", "1.5"),
        ("disk", "2026-08-01T00:00:00Z", "2"),
    ]


async def test_nothing_counted_is_an_empty_list(client: httpx.AsyncClient) -> None:
    """The gateway does not know whether there is such a subscription."""
    assert (await client.get("/subscriptions/sub-9/usage")).json()["usage"] == []


async def test_before_the_totals_are_read_it_is_503(client: httpx.AsyncClient, totals: TotalsView) -> None:
    """Zero would be a lie."""
    totals.is_complete = lambda: False
    assert (await client.get("/subscriptions/sub-1/usage")).status_code == 503


def test_an_older_version_changes_nothing_and_a_deletion_removes() -> None:
    """As they come after a restart of the meter, or under a withdrawn period."""
    view = TotalsView()
    told(view, total(7, "5", offset=9), total(7, "4", offset=8))
    assert [one.quantity for one in view.of("maps", "eu/sub-1")] == ["5"]
    view.apply(total(7, "5").key, None)
    assert view.of("maps", "eu/sub-1") == []
    view.apply("garbage", None)
    view.apply("maps/x", b"garbage")


def test_only_the_newest_periods_are_kept() -> None:
    """Memory is bounded by subscriptions and metrics, not by time; each metric has its own."""
    view = TotalsView()
    told(view, *(total(month, "1") for month in (3, 9, 1, 5, 7)), total(1, "1", metric="disk"))
    kept = [one.period_start[5:7] for one in view.of("maps", "eu/sub-1") if one.metric == "api_calls"]
    assert kept == ["09", "07", "05"]
    assert len(kept) == PERIODS_MAX
    assert len(view.of("maps", "eu/sub-1")) == PERIODS_MAX + 1
