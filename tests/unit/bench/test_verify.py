"""The comparison finds what is missing, doubled, stale or a cent off."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.bench.common.kafka_io import Incoming
from deploy.bench.meter import catalog
from deploy.bench.meter.load import METRIC, SERVICE, Expected
from deploy.bench.meter.verify import MeterResult
from schemas.catalog import Charge, catalog_entry
from streams.domain.rating import rate

if TYPE_CHECKING:
    from collections.abc import Mapping

QUOTA = 1_000
EXPECTED = Expected(sums={"a": 2_500, "b": 400}, keys={"a": 5, "b": 2})


@given(total=st.integers(min_value=0, max_value=10**12), quota=st.integers(min_value=0, max_value=10**9))
def test_the_benchmarks_own_arithmetic_agrees_with_rating(total: int, quota: int) -> None:
    """Two implementations, one definition."""
    values = (record.value for record in catalog.entries([], quota))
    [charge] = [entry for value in values if isinstance(entry := catalog_entry.validate_json(value), Charge)]
    assert rate(Decimal(total), charge).amount == Decimal(catalog.amount_minor(total, quota)).scaleb(-2)


def test_equal_results_have_no_fault() -> None:
    """Newest versions count, in whatever order they come."""
    assert not _faults([_total("a", 2_500, 5, 9), _total("a", 1, 1, 3), _overage("a", 2_500, "0.02", 9)])


@pytest.mark.parametrize(
    ("record", "named"),
    [
        (("total", "a", 2_499, 5), "total of a"),
        (("total", "a", 2_500, 6), "total of a"),
        (("overage", "a", 2_500, "0.01"), "overage of a"),
        (("total", "c", 1, 1), "total of c"),
    ],
)
def test_any_difference_is_named(record: tuple[str, str, int, Any], named: str) -> None:
    """One unit, one key, one cent, one subscription too many."""
    kind, name, quantity, other = record
    newer = _total(name, quantity, other, 10) if kind == "total" else _overage(name, quantity, other, 10)
    [fault] = _faults([_total("a", 2_500, 5, 9), _overage("a", 2_500, "0.02", 9), newer])
    assert named in fault


def test_missing_totals_are_faults() -> None:
    """Nothing published is not equal to anything sent."""
    assert len(MeterResult().faults(EXPECTED, QUOTA)) == 4


def _faults(records: list[Incoming]) -> list[str]:
    result = MeterResult()
    result.take([_total("b", 400, 2, 4), _overage("b", 400, "0", 4), *records])
    return result.faults(EXPECTED, QUOTA)


def _total(name: str, quantity: int, counters: int, offset: int) -> Incoming:
    return _record(f"t/{name}", offset, {"subscription": name, "quantity": str(quantity), "counters": counters})


def _overage(name: str, total: int, amount: str, offset: int) -> Incoming:
    value = {"subscription": name, "charge": catalog.CHARGE, "total": str(total), "amount": amount}
    return _record(f"o/{name}", offset, value)


def _record(key: str, offset: int, value: Mapping[str, Any]) -> Incoming:
    whole = {"service": SERVICE, "metric": METRIC, "version": [1, offset, 0], **value}
    return Incoming(0, offset, key.encode(), json.dumps(whole).encode(), 0.0)
