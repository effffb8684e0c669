"""The Odoo server of one stack, on its own database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.local import postgres_client
from deploy.local.files import write_private
from deploy.local.odoo_config import Server
from deploy.local.odoo_rpc import OdooSession, is_healthy
from deploy.local.odoo_template import ADMIN_LOGIN, ADMIN_PASSWORD, addons_fingerprint, our_addons
from deploy.local.ports import HOST
from deploy.local.processes import Launch

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.local.odoo_template import Templates
    from deploy.local.ports import Ports
    from deploy.local.processes import Processes
    from deploy.local.progress import Progress
    from deploy.local.settings import LocalSettings

ROLE = "odoo"
DATABASE = "fusion"


@dataclass(frozen=True, slots=True)
class Odoo:
    """Odoo on the database `fusion`."""

    settings: LocalSettings
    templates: Templates
    ports: Ports
    processes: Processes
    progress: Progress

    @property
    def url(self) -> str:
        """The address of its web pages and of its RPC."""
        return f"http://{HOST}:{self.ports.of(ROLE)}"

    @property
    def admin(self) -> OdooSession:
        """The user a person logs in as."""
        return OdooSession(self.ports.of(ROLE), DATABASE, ADMIN_LOGIN, ADMIN_PASSWORD)

    def ensure_running(self) -> None:
        """Return once Odoo is healthy, on a database whose addons are as new as their files."""
        self._ensure_database()
        with self.progress.step("Odoo: start"):
            self.processes.ensure(ROLE, self._start, self.is_ready, self.settings.ready_within_s)

    def is_ready(self) -> bool:
        """True when Odoo and its database server are well."""
        return is_healthy(self.ports.of(ROLE))

    def _ensure_database(self) -> None:
        odoo = self.templates.odoo
        current = addons_fingerprint(odoo.addon_folders)
        if DATABASE not in postgres_client.databases(odoo.login):
            self.templates.copy(self.templates.ensure(), DATABASE)
        elif self._installed.exists() and self._installed.read_text() == current:
            return
        else:
            self.processes.stop(ROLE)
            with self.progress.step("Odoo: update our addons"):
                self.templates.update(DATABASE, our_addons(odoo.addon_folders))
        write_private(self._installed, current)

    @property
    def _installed(self) -> Path:
        """Remembers which version of our addons the database has."""
        return self.templates.odoo.data / f"{DATABASE}.addons"

    def _start(self) -> None:
        odoo = self.templates.odoo
        config = odoo.layout.run / "odoo.conf"
        server = Server(
            database=DATABASE,
            port=self.ports.before_start(ROLE),
            gevent_port=self.ports.before_start("odoo-gevent"),
            workers=self.settings.odoo_workers,
            cron_threads=self.settings.odoo_cron_threads,
        )
        odoo.write_config(config, server)
        argv = odoo.argv("server", "-c", str(config))
        self.processes.start(ROLE, Launch(argv=argv, env=odoo.environment(), cwd=odoo.layout.stack))
