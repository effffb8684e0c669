"""Checks that need the catalog."""

from decimal import Decimal

from schemas.errors import Reason
from streams.domain.screening import screen
from tests.unit.streams.catalogs import columns, metric, view


def test_negative_quantities_are_refused_where_the_metric_forbids_them() -> None:
    """Each refusal names its counter's place in the batch; the others go on."""
    counters = columns(("a", "api_calls", "k0", 0, 1), ("a", "api_calls", "k1", 0, -1), ("a", "other", "k2", 0, -1))
    allowed, refused = screen(counters, view(metric()))
    assert list(allowed.keys) == ["k0", "k2"]
    assert [(each.index, each.reason, each.field) for each in refused] == [(1, Reason.NEGATIVE_QUANTITY, "quantity")]


def test_negative_quantities_pass_where_the_metric_allows_them() -> None:
    """Credits are counters, too."""
    counters = columns(("a", "api_calls", "k", 0, Decimal("-0.5")))
    assert screen(counters, view(metric(allow_negative=True))) == (counters, [])


def test_positions_refer_to_the_published_batch() -> None:
    """Screening after other refusals keeps the original places."""
    counters = columns(*(("a", "api_calls", f"k{i}", 0, -1) for i in range(4))).select([1, 3])
    _, refused = screen(counters, view(metric()))
    assert [each.index for each in refused] == [1, 3]


def test_no_counters_no_verdict() -> None:
    """A batch whose counters were all refused before stays as it is."""
    nothing = columns()
    assert screen(nothing, view(metric())) == (nothing, [])
