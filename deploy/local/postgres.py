"""A private PostgreSQL cluster, never the system's: own data folder, own port, passwords instead of trust.

PostgreSQL refuses to run as root, so root starts it as the package's user `postgres`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local import postgres_client, programs
from deploy.local.errors import ProgramMissing
from deploy.local.files import write_private
from deploy.local.ports import HOST, accepts
from deploy.local.postgres_client import Login
from deploy.local.processes import Launch

if TYPE_CHECKING:
    from deploy.local.layout import Layout
    from deploy.local.ports import Ports
    from deploy.local.processes import Processes
    from deploy.local.progress import Progress
    from deploy.local.secrets_file import Secrets
    from deploy.local.settings import LocalSettings

ROLE = "postgres"
ODOO_USER = "fusion_odoo"  # Odoo refuses the name `postgres`
_OWNER = "fusion_owner"
_UNPRIVILEGED = "postgres"
_BINARIES = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Postgres:
    """The database server of one stack."""

    layout: Layout
    settings: LocalSettings
    secrets: Secrets
    ports: Ports
    processes: Processes
    progress: Progress

    @property
    def owner(self) -> Login:
        """The superuser of the cluster."""
        return Login(self.ports.of(ROLE), _OWNER, self.secrets.postgres_password)

    @property
    def odoo(self) -> Login:
        """Odoo's role: may log in and make databases."""
        return Login(self.ports.of(ROLE), ODOO_USER, self.secrets.odoo_db_password)

    def ensure_running(self) -> None:
        """Return once the server answers and Odoo's role exists; make the cluster and start it if needed."""
        with self.progress.step("PostgreSQL: start"):
            self.processes.ensure(ROLE, self._start, self.is_ready, self.settings.ready_within_s)
        postgres_client.ensure_role(self.owner, ODOO_USER, self.secrets.odoo_db_password)

    def is_ready(self) -> bool:
        """True when the server lets its owner in."""
        return accepts(self.ports.of(ROLE)) and postgres_client.answers(self.owner)

    @property
    def _data(self) -> Path:
        return self.layout.data / "postgres"

    def _make_cluster(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        shutil.rmtree(self._data, ignore_errors=True)
        partial = self._data.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        password = self.layout.data / "postgres.password"
        write_private(password, self.secrets.postgres_password + "\n")
        give_away(partial, password)
        try:
            programs.run(
                [
                    *as_unprivileged(partial),
                    *(_program("initdb"), "--pgdata", str(partial), "--username", _OWNER),
                    *("--auth", "scram-sha-256", "--pwfile", str(password)),
                    *("--encoding", "UTF8", "--locale", "C.UTF-8"),
                ],
                cwd=self.layout.stack,
            )
        finally:
            password.unlink()
        partial.rename(self._data)

    def _start(self) -> None:
        self._make_cluster()
        options = {
            "port": str(self.ports.before_start(ROLE)),
            "listen_addresses": HOST,
            "unix_socket_directories": "",  # in a deep folder a socket's path is too long; loopback serves all
            "fsync": "on" if self.settings.postgres_fsync else "off",
            "max_connections": "200",  # several Odoo servers at once in tests
        }
        self.processes.start(
            ROLE,
            Launch(
                argv=[
                    *as_unprivileged(self._data),
                    *(_program("postgres"), "-D", str(self._data)),
                    *(word for name, setting in options.items() for word in ("-c", f"{name}={setting}")),
                ],
                env=programs.clean_environment(),
                cwd=self.layout.stack,
                stop_signal=signal.SIGINT,  # "fast": ends sessions; SIGTERM would wait for them
            ),
        )


def binaries() -> Path:
    """The folder of the newest installed PostgreSQL server.

    Raises: ProgramMissing.
    """
    versions = sorted(_BINARIES.glob("*/bin/initdb"), key=lambda found: float(found.parts[-3]))
    if versions:
        return versions[-1].parent
    return Path(programs.find("initdb")).resolve().parent


def _program(name: str) -> str:
    return programs.find(name, binaries())


def as_unprivileged(target: Path) -> list[str]:
    """The words before a command that run it as somebody who is not root; none when nobody is.

    A checkout below a private home, such as /root, cannot be entered by that somebody. There the command
    keeps the one capability to enter and read folders, instead of the data leaving the checkout.
    """
    if os.geteuid() != 0:
        return []
    words = [
        programs.find("setpriv"),
        f"--reuid={_UNPRIVILEGED}",
        f"--regid={_UNPRIVILEGED}",
        "--init-groups",
    ]
    if all(folder.stat().st_mode & 0o001 for folder in target.absolute().parents):
        return [*words, "--"]
    return [*words, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"]


def give_away(*paths: Path) -> None:
    """Make the paths the unprivileged user's, when we are root.

    Raises: ProgramMissing when that user does not exist, since PostgreSQL's package makes it.
    """
    if os.geteuid() != 0:
        return
    try:
        user = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise ProgramMissing(f"no user {_UNPRIVILEGED} on this machine; install postgresql-15") from None
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)
