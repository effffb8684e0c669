"""One Odoo of the benchmark's own, on a fresh database of the local stack's PostgreSQL; gone at the end."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.bench.common.child import Child, running
from deploy.bench.common.waiting import wait_until
from deploy.local import postgres_client, provision
from deploy.local.odoo_config import Server
from deploy.local.odoo_rpc import OdooSession, is_healthy
from deploy.local.odoo_template import ADMIN_LOGIN, ADMIN_PASSWORD
from deploy.local.ports import HOST, draw_free_port
from deploy.local.postgres import ROLE
from deploy.local.settings import LocalSettings
from deploy.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.local.progress import Progress

_READY_WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class BenchOdoo:
    """A running Odoo without workers: one process, whose threads share one core of Python.

    `is_tuned_down` tells that its PostgreSQL does not wait for the disk: its figures mean nothing.
    """

    child: Child
    admin: OdooSession
    bot: OdooSession
    is_tuned_down: bool

    def variables(self) -> dict[str, str]:
        """The settings with which a role reaches it as the pipeline's user."""
        return {
            "FUSION_ODOO_URL": f"http://{HOST}:{self.admin.port}",
            "FUSION_ODOO_DB": self.admin.database,
            "FUSION_ODOO_LOGIN": self.bot.login,
            "FUSION_ODOO_PASSWORD": self.bot.password,
        }


@contextmanager
def bench_odoo(folder: Path, progress: Progress) -> Iterator[BenchOdoo]:
    """Odoo with our addons and the pipeline's user; PostgreSQL is stopped at the end if it was not running."""
    stack = Stack.of(LocalSettings(), progress)
    was_running = stack.processes.pid(ROLE) is not None
    database = f"bench_{secrets.token_hex(4)}"
    try:
        with stack.locked():
            stack.postgres.ensure_running()
            stack.code.ensure_installed()
            stack.templates.copy(stack.templates.ensure(), database)
        with _started(stack, database, folder) as odoo:
            yield odoo
    finally:
        if stack.postgres.is_ready():
            stack.templates.drop(database)
        if not was_running:
            stack.processes.stop(ROLE)


@contextmanager
def _started(stack: Stack, database: str, folder: Path) -> Iterator[BenchOdoo]:
    server = Server(database=database, port=draw_free_port(), gevent_port=draw_free_port())
    installation, config = stack.templates.odoo, folder / "odoo.conf"
    installation.write_config(config, server)
    argv = installation.argv("server", "-c", str(config))
    with running("Odoo", argv, installation.environment(), folder / "odoo.log", folder) as child:

        def is_up() -> bool:
            child.check_alive()
            return is_healthy(server.port)

        wait_until(is_up, _READY_WITHIN_S, "Odoo is healthy")
        admin = OdooSession(server.port, database, ADMIN_LOGIN, ADMIN_PASSWORD)
        bot = provision.ensure_bot(admin, secrets.token_urlsafe(16))
        fsync = postgres_client.value(stack.postgres.odoo, database, "SHOW fsync")
        yield BenchOdoo(child, admin, bot, is_tuned_down=fsync != "on")
