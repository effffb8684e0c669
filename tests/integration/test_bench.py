"""The benchmark of the meter on the real broker, in small: what it compares is equal, and nothing stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deploy.bench.meter.result import HEADLINE
from deploy.local import kafka_client
from deploy.local.settings import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.local.stack import Stack

pytestmark = pytest.mark.kafka


def test_a_small_run_is_verified_and_leaves_no_topic_behind(stack: Stack, kafka_bootstrap: str, tmp_path: Path) -> None:
    """Containers, single counters, kill -9 and latency; sums, distinct keys and amounts equal in each."""
    argv = [sys.executable, "-m", "deploy.bench", "meter", "--json", "--quick", "--no-peers", "--counters", "4000"]
    argv += ["--only", "singles", "--only", "recovery", "--report", str(tmp_path / "report.json")]
    environment = os.environ | {"FUSION_LOCAL_DIR": str(stack.layout.stack)}
    ended = subprocess.run(
        argv, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["verified"] == 1, figures
    assert list(figures) == list(HEADLINE)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["recovery_keys"] > 4_000
    for name in ("counters_per_second", "single_counter_per_second", "recovery_seconds", "latency_p99_seconds"):
        assert figures[name] > 0, name
    assert not [name for name in kafka_client.topic_names(kafka_bootstrap) if name.startswith("bench-")]
