"""The local stack keeps its promises: real processes, a real Kafka, PostgreSQL and Odoo."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from deploy.local import env_file, kafka_client, postgres_client, programs, secrets_file
from deploy.local.errors import LocalStackError, NotReady
from deploy.local.kafka import new_cluster_id
from deploy.local.layout import Layout
from deploy.local.ports import HOST, Ports, accepts, draw_free_port
from deploy.local.postgres_client import Login
from deploy.local.processes import Launch, Processes
from deploy.local.settings import REPOSITORY, LocalSettings
from deploy.local.stack import Stack
from tests.stack.waiting import DeadlinePassedError, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.kafka import Broker, TopicMaker
    from tests.stack.odoo import OdooServer

_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
_POLITE = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """The processes of an empty stack; what a test leaves is killed."""
    layout = Layout(repository=REPOSITORY, stack=tmp_path / "stack")
    layout.create()
    started = Processes(layout)
    yield started
    started.kill("sleeper")


def _sleeper(code: str, stops_within_s: float = 5.0) -> Launch:
    return Launch(
        argv=[sys.executable, "-c", code],
        env=programs.clean_environment(),
        cwd=REPOSITORY,
        stops_within_s=stops_within_s,
    )


def _says(processes: Processes, word: str) -> None:
    wait_until(lambda: word in processes.log("sleeper").read_text(), 60, f"'{word}' in the log")


class TestProcesses:
    """Started detached, recognised for certain, stopped for certain."""

    def test_pid_file_holds_the_bare_pid(self, processes: Processes) -> None:
        """`kill $(cat run/<role>.pid)` must hit that process and no other."""
        pid = processes.start("sleeper", _sleeper(_POLITE))
        assert (processes.layout.run / "sleeper.pid").read_text() == f"{pid}\n"

    def test_a_stranger_with_a_recycled_pid_is_not_ours(self, processes: Processes) -> None:
        """The record names our process by start time, so the same PID at another time is somebody else."""
        processes.start("sleeper", _sleeper(_POLITE))
        record = processes.layout.run / "sleeper.json"
        genuine = record.read_text()
        record.write_text(genuine.replace('"identity": "', '"identity": "another boot '))
        assert processes.pid("sleeper") is None
        assert not processes.stop("sleeper")
        record.write_text(genuine)
        assert processes.pid("sleeper") is not None

    def test_a_zombie_is_dead(self, processes: Processes) -> None:
        """A killed child that nobody waited for does not count as running."""
        pid = processes.start("sleeper", _sleeper(_POLITE))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: processes.pid("sleeper") is None, 60, "death")

    def test_a_process_that_ignores_sigterm_is_killed(self, processes: Processes) -> None:
        """`down` leaves nothing behind."""
        processes.start("sleeper", _sleeper(_DEAF, stops_within_s=0.2))
        _says(processes, "deaf")
        assert processes.stop("sleeper")
        assert processes.pid("sleeper") is None

    def test_a_process_that_dies_while_starting_names_its_last_words(self, processes: Processes) -> None:
        """Nobody waits out a deadline for a process that is gone."""
        processes.start("sleeper", _sleeper("import sys; sys.exit('no such luck')"))
        with pytest.raises(NotReady, match=r"ended while starting(?s:.*)no such luck"):
            processes.wait_ready("sleeper", lambda: False, 30)

    def test_one_killed_just_before_is_started_again(self, processes: Processes) -> None:
        """`up` right after a kill does not mistake the dying process for a running one."""
        first = processes.start("sleeper", _sleeper(_POLITE))
        os.kill(first, signal.SIGKILL)
        processes.ensure(
            "sleeper",
            lambda: processes.start("sleeper", _sleeper(_POLITE)),
            lambda: processes.pid("sleeper") not in (None, first),
            10,
        )


class TestPorts:
    """Chosen once and kept."""

    def test_a_port_stays_the_same(self, tmp_path: Path) -> None:
        """Addresses survive a restart of the stack."""
        first = Ports(tmp_path / "ports.json").before_start("gateway")
        assert Ports(tmp_path / "ports.json").before_start("gateway") == first

    def test_a_port_taken_meanwhile_is_replaced(self, tmp_path: Path) -> None:
        """A stranger on our port does not stop the stack."""
        ports = Ports(tmp_path / "ports.json")
        with _listening_on(ports.of("gateway")) as taken:
            assert ports.before_start("gateway") != taken.getsockname()[1]

    def test_odoo_follows_a_database_server_that_moves(self, tmp_path: Path) -> None:
        """It moves when it is started, after all parts of the stack were made."""
        stack = Stack.of(LocalSettings(dir=tmp_path))
        former = stack.templates.odoo.login.port
        with _listening_on(former):
            moved = stack.ports.before_start("postgres")
        assert moved != former
        assert stack.templates.odoo.login.port == moved

    def test_a_port_set_by_hand_is_never_replaced(self, tmp_path: Path) -> None:
        """Whoever names a port hears that it is taken."""
        port = draw_free_port()
        with _listening_on(port), pytest.raises(LocalStackError, match=f"port {port} for gateway is taken"):
            Ports(tmp_path / "ports.json", {"gateway": port}).before_start("gateway")


def _listening_on(port: int) -> socket.socket:
    return socket.create_server((HOST, port))


class TestFiles:
    """Secrets are private, and shells read what we write."""

    def test_a_shell_reads_the_env_file(self, tmp_path: Path) -> None:
        """Values arrive unchanged, whatever characters they hold."""
        value = """it's "quoted" $HOME `id` \\ and spaced"""
        env_file.write(tmp_path / "env", {"FUSION_TEST": value}, "Test.")
        read = 'set -a; . ./env; printf %s "$FUSION_TEST"'
        assert programs.run(["sh", "-c", read], cwd=tmp_path) == value
        assert env_file.read(tmp_path / "env") == {"FUSION_TEST": value}

    def test_secrets_are_made_once_and_private(self, tmp_path: Path) -> None:
        """A second start must not lock the stack out of its own data."""
        path = tmp_path / "secrets.json"
        assert secrets_file.load_or_create(path) == secrets_file.load_or_create(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_cluster_id_never_reads_as_an_option(self) -> None:
        """Kafka's tool takes a leading dash for an option; one in 64 random ids has one."""
        assert not any(new_cluster_id().startswith("-") for _ in range(1000))


def test_waiting_reports_the_last_state() -> None:
    """A test that gives up says what it saw."""
    with pytest.raises(DeadlinePassedError, match=r"three lines: not within 0\.1 s; last state: 0"):
        wait_until(lambda: 0, 0.1, "three lines")


@pytest.mark.kafka
class TestKafka:
    """A real broker, shared or private."""

    def test_topics_belong_to_one_test(self, topics: TopicMaker, topic_prefix: str, kafka_bootstrap: str) -> None:
        """Two tests never meet in a topic."""
        name = topics("usage.v1", 3)
        assert name == f"{topic_prefix}usage.v1"
        assert name in kafka_client.topic_names(kafka_bootstrap)

    @pytest.mark.faults
    def test_a_killed_broker_comes_back_with_its_topics(self, broker: Broker) -> None:
        """Same address, same data, after kill -9 and after a polite stop."""
        address = broker.bootstrap
        broker.create_topic("kept", 3)
        broker.kill()
        broker.start()
        broker.stop()
        broker.start()
        assert broker.bootstrap == address
        assert "kept" in kafka_client.topic_names(broker.bootstrap)

    @pytest.mark.faults
    def test_a_paused_broker_answers_nothing(self, broker: Broker) -> None:
        """The port still accepts, which is why readiness asks for metadata."""
        broker.pause()
        assert accepts(int(broker.bootstrap.rpartition(":")[2]))
        assert not kafka_client.answers(broker.bootstrap)
        broker.resume()
        wait_until(lambda: kafka_client.answers(broker.bootstrap), 60, "the broker's answer")


@pytest.mark.odoo
class TestOdoo:
    """A fresh database per module on the real server."""

    def test_postgres_wants_a_password(self, stack: Stack, odoo_template: str) -> None:
        """Other users of the machine cannot read the books."""
        assert odoo_template in postgres_client.databases(stack.postgres.odoo)
        stranger = Login(stack.ports.of("postgres"), stack.postgres.owner.user, "guess")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            stranger.connect()

    def test_company_bills_canadian_tax(self, odoo: OdooServer) -> None:
        """The template's company has Canada's chart of accounts, currency and taxes."""
        [company] = odoo.call("res.company", "search_read", [], ["chart_template", "currency_id"])
        assert (company["chart_template"], company["currency_id"][1]) == ("ca_2023", "CAD")
        assert odoo.call("account.tax", "search_count", [["name", "like", "HST"]])

    def test_our_addons_are_installed(self, odoo: OdooServer) -> None:
        """The product's addon and the stand-in for subscriptions."""
        installed = odoo.call("ir.module.module", "search_read", [["state", "=", "installed"]], ["name"])
        assert {"fusion_billing", "sale_subscription"} <= {module["name"] for module in installed}

    @pytest.mark.faults
    def test_a_killed_server_comes_back_with_its_data(self, odoo: OdooServer) -> None:
        """Same address, same database."""
        partner = odoo.call("res.partner", "create", {"name": "Kept"})
        odoo.kill()
        odoo.start()
        assert odoo.call("res.partner", "read", [partner], ["name"])[0]["name"] == "Kept"

    def test_the_bot_may_not_touch_native_records(self, odoo: OdooServer) -> None:
        """Whatever the pipeline writes goes through the addon's methods."""
        assert odoo.bot.may_log_in()
        assert not odoo.bot.call("account.move", "has_access", [], "write")


@pytest.mark.odoo
@pytest.mark.kafka
@pytest.mark.faults
@pytest.mark.timeout(400)
def test_up_is_repeatable_and_down_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    """`up` brings back what was killed, `down --wipe` stops all and deletes the data, for a stack in any folder."""
    assert stack.code.source.is_dir()
    own = Processes(Layout(repository=REPOSITORY, stack=tmp_path / "stack"))
    env = {**programs.clean_environment(), "FUSION_LOCAL_DIR": str(own.layout.stack)}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "deploy.local", *words]
        return subprocess.run(argv, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)

    try:
        first = command("up")
        assert first.returncode == 0, first.stderr
        meter, gateway = own.pid("meter"), own.pid("gateway")
        own.kill("meter")
        assert command("status").returncode == 1
        second = command("up")
        assert second.returncode == 0, second.stderr
        assert own.pid("meter") not in (None, meter)
        assert own.pid("gateway") == gateway
        own.kill("gateway")
        with _listening_on(Ports(own.layout.run / "ports.json").of("gateway")):
            third = command("up")
        assert third.returncode == 0, third.stderr
        assert own.pid("gateway") not in (None, gateway)
    finally:
        last = command("down", "--wipe")
    assert last.returncode == 0, last.stderr
    assert sorted(path.name for path in own.layout.stack.iterdir()) == ["lock"]
