"""Odoo's configuration file and command line, for servers and for one-off commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.local import programs
from deploy.local.files import write_private
from deploy.local.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.local.layout import Layout
    from deploy.local.odoo_code import OdooCode
    from deploy.local.postgres import Postgres
    from deploy.local.postgres_client import Login

_MAX_CONNECTIONS = 32  # per server; the cluster allows 200
# Beyond that Odoo starts itself anew. A connection that is only silent counts, too, and a network may be for minutes.
_REQUEST_WITHIN_S = 3600


@dataclass(frozen=True, slots=True)
class Server:
    """One Odoo server: the database it shows, where it listens, what runs by itself."""

    database: str
    port: int
    gevent_port: int
    workers: int = 0
    cron_threads: int = 0


@dataclass(frozen=True, slots=True)
class Installation:
    """Odoo's code together with one stack's database server and folders."""

    layout: Layout
    code: OdooCode
    postgres: Postgres

    @property
    def login(self) -> Login:
        """Odoo's way to its databases; asked for anew, as the server moves when its port is taken."""
        return self.postgres.odoo

    @property
    def data(self) -> Path:
        """Attachments and sessions of all databases."""
        return self.layout.data / "odoo"

    @property
    def addon_folders(self) -> list[Path]:
        """Our addon, and the stand-in for Enterprise's subscriptions; never the latter in production."""
        return [self.layout.repository / "deploy/odoo" / name for name in ("addons", "dev_addons")]

    def write_config(self, path: Path, server: Server) -> None:
        """Write the file for `odoo -c`; private, since it holds the database password."""
        addons = [*self.addon_folders, self.code.source / "odoo/addons"]
        options = {
            "addons_path": ",".join(str(folder) for folder in addons if folder.is_dir()),
            "data_dir": self.data,
            "db_host": HOST,
            "db_port": self.login.port,
            "db_user": self.login.user,
            "db_password": self.login.password,
            "db_maxconn": _MAX_CONNECTIONS,
            # No `dbfilter`: with one, Odoo lists the cluster's databases for each call, on a connection of its own.
            "db_name": server.database,
            "list_db": False,
            "http_interface": HOST,
            "http_port": server.port,
            "gevent_port": server.gevent_port,
            "workers": server.workers,
            "max_cron_threads": server.cron_threads,
            "limit_time_real": _REQUEST_WITHIN_S,
            # One deprecation warning per RPC call says nothing new.
            "log_handler": ":INFO,odoo.addons.rpc.controllers.jsonrpc:ERROR",
        }
        lines = [f"{name} = {value}" for name, value in options.items()]
        write_private(path, "\n".join(["[options]", *lines]) + "\n")

    def argv(self, *words: str) -> list[str]:
        """The command line of `odoo` with these words."""
        return [str(self.code.python), "-m", "odoo", *words]

    def environment(self) -> dict[str, str]:
        """The environment of `odoo`."""
        return {**programs.clean_environment(), "PYTHONPATH": str(self.code.source)}
