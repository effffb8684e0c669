"""The benchmark of the Odoo side on the real broker and a real Odoo, in small: read back, and nothing stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deploy.local import kafka_client, postgres_client
from deploy.local.settings import REPOSITORY

if TYPE_CHECKING:
    from deploy.local.stack import Stack

pytestmark = [pytest.mark.kafka, pytest.mark.odoo]


@pytest.mark.usefixtures("odoo_template")
def test_a_small_run_is_verified_and_leaves_nothing_behind(stack: Stack, kafka_bootstrap: str) -> None:
    """Lines created, changed and confirmed, customers, events: all as sent; no topic and no database stays."""
    argv = [sys.executable, "-m", "deploy.bench", "odoo", "--json", "--quick"]
    environment = os.environ | {"FUSION_LOCAL_DIR": str(stack.layout.stack)}
    ended = subprocess.run(
        argv, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=500, check=False
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["verified"] == 1, figures
    unchanged = ("unchanged_rows", "unchanged_newer_rows", "unchanged_unknown_rows")
    rates = ("created_lines", "updated_lines", *unchanged, "customer_upserts")
    for name in (*(f"{rate}_per_second" for rate in rates), "feed_lag_p99_seconds"):
        assert figures[name] > 0, name
    # Another test's benchmark may run beside this one; its topics and database are its own.
    prefix, database = figures["detail"]["prefix"], figures["detail"]["database"]
    assert not [name for name in kafka_client.topic_names(kafka_bootstrap) if name.startswith(prefix)]
    assert database not in postgres_client.databases(stack.postgres.odoo)
