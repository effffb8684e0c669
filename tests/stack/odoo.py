"""A real Odoo server on a fresh database with our addons."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from deploy.local import provision
from deploy.local.layout import Layout
from deploy.local.odoo_config import Server
from deploy.local.odoo_rpc import OdooSession, is_healthy
from deploy.local.odoo_template import ADMIN_LOGIN, ADMIN_PASSWORD
from deploy.local.ports import HOST, draw_free_port
from deploy.local.processes import Launch, Processes
from deploy.local.settings import REPOSITORY
from tests.stack.running import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.local.stack import Stack

_ROLE = "odoo"
_READY_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class OdooServer:
    """One Odoo server on a database of its own; no scheduled job runs by itself."""

    stack: Stack
    server: Server
    processes: Processes
    admin: OdooSession
    bot: OdooSession

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.server.port}"

    @property
    def database(self) -> str:
        """Its database."""
        return self.server.database

    def call(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a public method as administrator; for methods of records the first argument is their ids."""
        return self.admin.call(model, method, *args, **kwargs)

    def variables(self) -> dict[str, str]:
        """The settings with which a role reaches this Odoo as the pipeline's user."""
        return {
            "FUSION_ODOO_URL": self.url,
            "FUSION_ODOO_DB": self.database,
            "FUSION_ODOO_LOGIN": self.bot.login,
            "FUSION_ODOO_PASSWORD": self.bot.password,
        }

    def start(self) -> None:
        """Return once it is healthy; its address and database are those it had."""
        self.processes.ensure(_ROLE, self._start, lambda: is_healthy(self.server.port), _READY_WITHIN_S)

    def stop(self) -> None:
        """Stop it the polite way."""
        self.processes.stop(_ROLE)

    def kill(self) -> None:
        """Stop it as a power cut would."""
        self.processes.kill(_ROLE)

    def run_job(self, xml_id: str) -> None:
        """Run a scheduled job now."""
        self.call("ir.cron", "method_direct_trigger", [self.admin.id_of(xml_id)])

    def _start(self) -> None:
        odoo = self.stack.templates.odoo
        config = self.processes.layout.run / "odoo.conf"
        odoo.write_config(config, self.server)
        argv = odoo.argv("server", "-c", str(config))
        self.processes.start(_ROLE, Launch(argv=argv, env=odoo.environment(), cwd=self.processes.layout.stack))


@pytest.fixture(scope="session")
def odoo_template(pytestconfig: pytest.Config, stack: Stack) -> str:
    """The database that fresh ones are copied from; has our addons as their files are now."""
    if not stack.postgres.is_ready():
        missing(pytestconfig, "the tests' PostgreSQL")
    with stack.locked():
        return stack.templates.ensure()


@pytest.fixture(scope="module")
def odoo(stack: Stack, odoo_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OdooServer]:
    """Odoo for the tests of one module, with the pipeline's user and nothing else of ours in it."""
    private = make_server(stack, odoo_template, tmp_path_factory.mktemp("odoo"))
    try:
        private.start()
        provision.ensure_bot(private.admin, private.bot.password)
        yield private
    finally:
        private.kill()
        stack.templates.drop(private.database)


def make_server(stack: Stack, template: str, folder: Path) -> OdooServer:
    """A server, not started yet, on a new copy of the template."""
    database = f"test_{secrets.token_hex(6)}"
    with stack.locked():
        stack.templates.copy(template, database)
    layout = Layout(repository=REPOSITORY, stack=folder)
    layout.create()
    server = Server(database=database, port=draw_free_port(), gevent_port=draw_free_port())
    return OdooServer(
        stack=stack,
        server=server,
        processes=Processes(layout),
        admin=OdooSession(server.port, database, ADMIN_LOGIN, ADMIN_PASSWORD),
        bot=OdooSession(server.port, database, provision.BOT_LOGIN, secrets.token_urlsafe(16)),
    )
