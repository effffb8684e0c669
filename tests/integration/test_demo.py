"""What the README promises a stranger: the demo's story, the first counters, a role killed and started again."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import env_file, programs
from deploy.local.layout import Layout
from deploy.local.odoo_rpc import OdooSession
from deploy.local.processes import Processes
from deploy.local.settings import REPOSITORY
from deploy.local.stack import PARTS
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.odoo, pytest.mark.timeout(600)]

# The second run of the same commands finds everything installed; the first one of a machine may download.
_COMMAND_S = 500


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A stack below `home/.local`, worked only through the command line."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Addresses and credentials, as a person finds them."""
        return dict(env_file.read(self.home / ".local" / "env"))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `fusion-billing` on this stack."""
        settings = {
            "FUSION_LOCAL_DIR": str(self.home / ".local"),
            "FUSION_LOCAL_KAFKA_FAST_START": "true",
            "FUSION_LOCAL_POSTGRES_FSYNC": "false",
        }
        command = programs.find("fusion-billing", Path(sys.executable).parent)
        return subprocess.run(
            [command, *words],
            env={**programs.clean_environment(), **settings},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )

    def usage(self, subscription: str) -> list[float]:
        """Totals of a subscription, as finance sees them in Odoo."""
        environment = self.environment
        admin = OdooSession(
            port=httpx.URL(environment["FUSION_ODOO_URL"]).port or 0,
            database=environment["FUSION_ODOO_DB"],
            login=environment["FUSION_ODOO_LOGIN"],
            password=environment["FUSION_ODOO_PASSWORD"],
        )
        where = [["subscription_id.x_fc_external_id", "=", subscription]]
        return [row["quantity"] for row in admin.call("fusion.billing.usage", "search_read", where, ["quantity"])]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, odoo_template: str) -> Iterator[tuple[LocalStack, str]]:
    """A stack on which the demo has run, and what it printed. The template: nothing is installed twice at a time."""
    assert odoo_template
    local = LocalStack(tmp_path_factory.mktemp("demo"))
    try:
        demo = local.run("demo")
        assert demo.returncode == 0, demo.stdout + demo.stderr
        yield local, demo.stdout
    finally:
        local.run("down")


def test_the_demo_agrees_with_odoo(told: tuple[LocalStack, str]) -> None:
    """It ends well, and its table holds the invoice with HST and what the app did."""
    _, printed = told
    assert "113.00" in printed
    assert "suspended" in printed
    assert "✗" not in printed


def test_a_killed_role_is_started_again_by_up(told: tuple[LocalStack, str]) -> None:
    """`up` starts what does not run and leaves the rest alone."""
    local, _ = told
    processes = Processes(Layout.of(REPOSITORY, local.home / ".local"))
    before = {part: processes.pid(part) for part in PARTS}
    killed = before["meter"]
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert local.run("up").returncode == 0
    after = {part: processes.pid(part) for part in PARTS}
    assert {part for part in PARTS if before[part] != after[part]} == {"meter"}
    status = json.loads(local.run("status", "--json").stdout)
    assert all(part["is_ready"] for part in status)


def test_the_readme_counts_its_first_counters(told: tuple[LocalStack, str], tmp_path: Path) -> None:
    """The README's commands, as written: 5,000,500 calls over HTTP and 3 times 1000.5 over the SDK arrive in Odoo."""
    local, _ = told
    blocks = _blocks()
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", blocks["bash"]],
        cwd=local.home,
        env=programs.clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shell.returncode == 0, shell.stderr
    assert shell.stdout.endswith('{"status":"ok","accepted":1}')
    script = tmp_path / "first.py"
    script.write_text(blocks["python"])
    subprocess.run(
        [sys.executable, script],
        cwd=REPOSITORY,
        env={**programs.clean_environment(), **local.environment, "PYTHONPATH": str(REPOSITORY)},
        timeout=60,
        check=True,
    )
    wait_until(lambda: local.usage("readme-1") == [5_000_500 + 3 * 1000.5], 60, "the README's counters in Odoo")


def _blocks() -> dict[str, Any]:
    """Return the README's code by language."""
    text = (REPOSITORY / "README.md").read_text()
    return dict(re.findall(r"```(bash|python)\n(.*?)```", text, flags=re.DOTALL))
