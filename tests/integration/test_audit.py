"""`fusion-billing audit`, `trace`, `waiting`, `rebuild` and `snapshots` beside a meter on the real broker."""

from __future__ import annotations

import gc
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from tests.faults.meter_lab import MeterLab, open_lab, running, under_load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.kafka,
    # The test's own client leaves sockets behind when it closes.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def lab(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[MeterLab]:
    """Fresh topics, and a catalog with the subscriptions s0, s1, …."""
    made = open_lab(kafka_bootstrap, topic_prefix, tmp_path)
    yield made
    made.close()
    gc.collect()


def command(lab: MeterLab, *words: str) -> tuple[int, Any]:
    """Run a command with --json; its exit code and what it printed."""
    result = CliRunner().invoke(app, [*words, "--json"], env=lab.worker().variables, catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout)


def test_a_healthy_pipeline_under_load_has_no_drift(lab: MeterLab) -> None:
    """While counters of all kinds pour in, nothing is called drift; once quiet, everything is equal."""
    with running(lab.worker()), under_load(lab, seed=7):
        lab.pass_records(300)
        for _ in range(3):
            code, found = command(lab, "audit", "--no-odoo")
            print(found["by_source"])
            assert (code, found["drift"]) == (0, 0), found
            assert found["equal"] > 0
    with running(lab.worker()):
        lab.wait_until_exact()
        code, found = command(lab, "audit", "--no-odoo")
    assert code == 0
    assert found["equal"] == found["compared"] >= len(lab.model.totals()) + len(lab.model.overages()), found
