"""The table of faults in docs/webhooks.md names every fault, and for each a test that exists."""

import ast
import re

from deploy.local.settings import REPOSITORY

_ROW = re.compile(r"^\| (F\d+.*?) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
FAULTS = {f"F{number}" for number in range(1, 29)}


def rows() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each row's first cell and the tests it names."""
    text = (REPOSITORY / "docs/webhooks.md").read_text()
    return [(fault, _TEST.findall(tests)) for fault, tests in _ROW.findall(text)]


def faults_in(cell: str) -> set[str]:
    """Return the faults a first cell names."""
    return set(re.findall(r"\bF\d+\b", cell))


def functions_of(path: str) -> set[str]:
    """Return the names of all functions in a file that pytest collects."""
    tree = ast.parse((REPOSITORY / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_fault_has_a_row() -> None:
    """F1 to F28, each once."""
    named = [fault for cell, _ in rows() for fault in faults_in(cell)]
    assert sorted(named) == sorted(FAULTS)


def test_every_row_names_tests_that_exist() -> None:
    """A test that is renamed or deleted takes its row with it."""
    for cell, tests in rows():
        assert tests, cell
        for path, name in tests:
            assert name in functions_of(path), f"{cell}: {path}::{name}"


def test_a_missing_test_would_be_found() -> None:
    """The check itself can fail."""
    assert "test_that_is_not_there" not in functions_of("tests/unit/sinks/webhooks/test_faults_table.py")
    assert "test_every_fault_has_a_row" in functions_of("tests/unit/sinks/webhooks/test_faults_table.py")
