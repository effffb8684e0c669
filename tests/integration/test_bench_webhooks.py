"""The benchmark of the webhook sink on the real broker, in small: every delivery verified, and nothing stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deploy.local import kafka_client
from deploy.local.settings import REPOSITORY

if TYPE_CHECKING:
    from deploy.local.stack import Stack

pytestmark = pytest.mark.kafka


def test_a_small_run_is_verified_and_leaves_no_topic_behind(stack: Stack, kafka_bootstrap: str) -> None:
    """Signatures, order, each delivery exactly once, all states written; then a rebuild."""
    argv = [sys.executable, "-m", "deploy.bench", "webhooks", "--json", "--quick", "--workers", "1"]
    environment = os.environ | {"FUSION_LOCAL_DIR": str(stack.layout.stack)}
    ended = subprocess.run(
        argv, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["verified"] == 1, figures
    for name in ("deliveries_per_second", "isolation_p99_ratio", "rebuild_seconds", "peak_rss_mib"):
        assert figures[name] > 0, name
    assert not [name for name in kafka_client.topic_names(kafka_bootstrap) if name.startswith("bench-")]
