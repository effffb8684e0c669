"""The comparison of `bench odoo` goes red for one cent, one line too many, one missing, one on the wrong order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from deploy.bench.odoo.books import Books
from deploy.bench.odoo.verify import faults_of, version_faults

BOOKS = Books("calls", "CAD", ["sub-0", "sub-1"], api_key="none")
SENT = {one.key: one for one in (BOOKS.overage("sub-0", 500, 1), BOOKS.overage("sub-1", 510, 1))}


def held() -> list[dict[str, Any]]:
    """Return the lines that Odoo should show for what was sent."""
    return [
        {"x_fc_overage_key": key, "price_subtotal": float(one.amount), "external_id": one.subscription}
        for key, one in SENT.items()
    ]


def test_what_was_sent_has_no_fault() -> None:
    """Each key once, with its amount, on its order."""
    assert faults_of(held(), SENT) == []


@pytest.mark.parametrize(
    "change",
    [{"price_subtotal": 5.01}, {"external_id": "sub-1"}, {"x_fc_overage_key": "bench/other/calls/x"}],
    ids=["a cent", "the order", "the key"],
)
def test_one_wrong_line_is_a_fault(change: dict[str, Any]) -> None:
    """Of a whole run."""
    first, second = held()
    assert faults_of([first | change, second], SENT)


def test_a_missing_line_and_a_double_one_are_faults() -> None:
    """Also when amounts are right."""
    first, second = held()
    assert faults_of([first], SENT)
    assert faults_of([first, second, second], SENT)


def test_an_older_version_is_a_fault() -> None:
    """An amount that happens to be right does not hide that Odoo missed the last word."""
    versions = dict.fromkeys(SENT, "1.1.0")
    assert version_faults(versions, SENT) == []
    assert version_faults(versions | {next(iter(SENT)): "1.0.0"}, SENT)
    assert version_faults({}, SENT)


def test_the_overage_sent_is_what_its_own_terms_give() -> None:
    """Odoo checks the numbers against each other in the line's text: they must agree."""
    overage = BOOKS.overage("sub-0", 510, 3)
    assert overage.amount == overage.batches * overage.price_per_unit == Decimal("5.1")
    assert overage.total == overage.quota + overage.billable_units
