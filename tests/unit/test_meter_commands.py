"""What people read of audits and traces: everything that a person needs is on the page."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.commands import audit, stores, trace
from streams.audit.judging import Finding, Outcome, Report, Where
from streams.store.snapshot_check import SnapshotFacts

VALUE = {
    "key": "k1",
    "place": "3:17#0",
    "time": "2026-07-03T00:00:00Z",
    "quantity": "1500",
    "period_start": "2026-07-03T00:00:00Z",
    "revision": 0,
    "fate": "counted",
    "by": "",
}
INVOICE = {"id": 9, "number": "INV/1", "type": "invoice", "state": "posted", "payment_state": "paid", "amount": "0.20"}
EFFECTS: dict[str, Any] = {
    "total": {"key": "maps/acme/calls/x", "aggregation": "sum", "quantity": "1500", "counters": 1},
    "overages": [
        {
            "key": "maps/acme/fee/x",
            "amount": "0.2",
            "currency": "CAD",
            "line": {"status": "created", "amount": "0.2", "currency": "CAD", "error": None},
            "odoo": {"lines": [{"id": 2, "order": "S1", "revision": 1, "shown": "0.20", "invoices": [INVOICE]}]},
        }
    ],
}


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are not folded."""
    monkeypatch.setenv("COLUMNS", "300")


def test_an_audit_shows_counts_and_each_difference(capsys: pytest.CaptureFixture[str]) -> None:
    """By what was compared, then one row for each finding with both sides."""
    report = Report()
    report.note(Finding(Where.TOTALS, "a", Outcome.EQUAL, "1", "1"))
    report.note(Finding(Where.OVERAGE, "maps/acme/fee", Outcome.DRIFT, "2 CAD", "3 CAD", "because"))
    audit._print(report)
    printed = capsys.readouterr().out
    for words in ("totals.v1", "overage.v1", "drift: 1", "maps/acme/fee", "2 CAD", "3 CAD", "because"):
        assert words in printed


def test_a_trace_shows_the_way_from_record_to_invoice(capsys: pytest.CaptureFixture[str]) -> None:
    """Forward: the record's place, the total, the overage, the line, the invoice."""
    counter = {"service": "maps", "subscription": "acme", "metric": "calls", "key": "k1", "values": [VALUE]}
    trace._print([{"searched_partitions": [3], "counters": [counter | EFFECTS | {"waits_for_catalog": False}]}])
    printed = capsys.readouterr().out
    for words in (
        "3:17#0",
        "counted",
        "1500",
        "maps/acme/fee/x: 0.2 CAD",
        "line 2 of S1",
        "INV/1 (posted, paid): 0.20",
    ):
        assert words in printed


def test_a_trace_back_shows_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    """And says so where it is not the total."""
    answer = {"key": "maps/acme/fee/x", "as_of": "3:17", "counters": [VALUE], "displaced": [VALUE | {"key": "old"}]}
    trace._print([answer | EFFECTS | {"comes_to": "1500", "equal": True}])
    assert "1 counters come to 1500 = 1500, the total" in capsys.readouterr().out
    trace._print([answer | EFFECTS | {"comes_to": "1400", "equal": False}])
    assert "1400 ≠ 1500" in capsys.readouterr().out


def test_what_is_not_found_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """With the partitions that were searched."""
    trace._print([{"searched_partitions": [0, 1], "counters": []}])
    assert "no record of partitions [0, 1]" in capsys.readouterr().out


def test_snapshots_show_their_state(capsys: pytest.CaptureFixture[str]) -> None:
    """Good, bad, aside."""
    good = SnapshotFacts(Path("a"), 1, 2, 300, False, 2 << 20, 4000, 50)
    bad = SnapshotFacts(Path("b"), 1, 2, 301, True, 5, problem="does not match its checksum")
    stores._print_snapshots([good, bad], as_json=False)
    printed = capsys.readouterr().out
    for words in ("300", "4000", "2.0", "ok", "aside, does not match its checksum"):
        assert words in printed


@pytest.mark.parametrize("words", [["rebuild"], ["rebuild", "--all", "--partition", "1"], ["trace"]])
def test_nothing_named_is_wrong_use(words: list[str]) -> None:
    """Before anything is read or moved."""
    assert CliRunner().invoke(app, words).exit_code == 2
