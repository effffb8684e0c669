"""The option for the long fault set, and the table of faults at the end: what was done how often, lost, doubled."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

_PROPERTY = "fault"


@dataclass(slots=True)
class Row:
    """One fault: how often it was done, and what was lost and doubled by it."""

    fault: str
    times: int = 0
    lost: int = 0
    doubled: int = 0
    note: str = ""


@dataclass(slots=True)
class FaultTable:
    """The rows of one test; they are shown as they stand when it ends, also when it fails."""

    rows: list[Row] = field(default_factory=list)

    def row(self, fault: str) -> Row:
        """The row of a fault."""
        for row in self.rows:
            if row.fault == fault:
                return row
        self.rows.append(Row(fault))
        return self.rows[-1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Short by default."""
    parser.addoption("--faults-long", action="store_true", help="the long fault set: each fault many times")


@pytest.fixture
def is_long(pytestconfig: pytest.Config) -> bool:
    """True in the long fault set."""
    return bool(pytestconfig.getoption("--faults-long"))


@pytest.fixture
def fault_table(request: pytest.FixtureRequest) -> FaultTable:
    """This test's part of the table."""
    table = FaultTable()
    request.node.user_properties.append((_PROPERTY, table))
    return table


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hand the rows over as text, which also comes through from another process."""
    report = yield
    report.user_properties = [
        (name, json.dumps(asdict(value)) if isinstance(value, FaultTable) else value)
        for name, value in report.user_properties
    ]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, if there is anything in it."""
    rows = []
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties if report.when == "call" else ():
                if name == _PROPERTY:
                    shown = "" if outcome == "passed" else "in a test that FAILED"
                    rows += [(Row(**row), shown) for row in json.loads(value)["rows"]]
    if not rows:
        return
    terminalreporter.section("faults")
    terminalreporter.line(f"{'fault':50} {'times':>6} {'lost':>6} {'doubled':>8}")
    for row, shown in sorted(rows, key=lambda each: each[0].fault):
        numbers = f"{row.times:>6} {row.lost:>6} {row.doubled:>8}"
        terminalreporter.line(f"{row.fault[:50]:50} {numbers}  {row.note} {shown}".rstrip())
