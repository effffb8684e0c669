"""The composition root of the local stack and the order in which it starts.

Kafka ────────────────────────────┐
PostgreSQL ──────────┐            ├─► provision ─► topics ─► roles
Odoo's code ─────────┴─► Odoo ────┘
"""

from __future__ import annotations

import fcntl
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.local import env_file, odoo, provision, secrets_file
from deploy.local.errors import LocalStackError
from deploy.local.kafka import Kafka
from deploy.local.layout import Layout
from deploy.local.odoo import Odoo
from deploy.local.odoo_code import OdooCode
from deploy.local.odoo_config import Installation
from deploy.local.odoo_template import ADMIN_LOGIN, ADMIN_PASSWORD, Templates
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import Postgres
from deploy.local.processes import Processes
from deploy.local.progress import Progress
from deploy.local.roles import ROLES, Roles
from deploy.local.settings import REPOSITORY, LocalSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

# In the order of start; stopped the other way round.
PARTS = ("kafka", "postgres", "odoo", *ROLES)
DEMO_APP = "demo-app"  # the demo's webhook receiver: started by the demo, stopped with the rest


@dataclass(frozen=True, slots=True)
class Stack:
    """All parts of one local stack, wired."""

    layout: Layout
    processes: Processes
    ports: Ports
    secrets: secrets_file.Secrets
    progress: Progress
    kafka: Kafka
    postgres: Postgres
    code: OdooCode
    templates: Templates
    odoo: Odoo
    roles: Roles

    @classmethod
    def of(cls, settings: LocalSettings, progress: Progress | None = None) -> Stack:
        """The stack in the settings' folder; makes the folder and its secrets, starts nothing."""
        progress = progress or Progress()
        layout = Layout.of(REPOSITORY, settings.dir)
        layout.create()
        fixed = {
            "kafka": settings.kafka_port,
            "kafka-controller": settings.kafka_controller_port,
            "postgres": settings.postgres_port,
            "odoo": settings.odoo_port,
            "odoo-gevent": settings.odoo_gevent_port,
            "gateway": settings.gateway_port,
        }
        ports, processes = Ports(layout.run / "ports.json", fixed), Processes(layout)
        secrets = secrets_file.load_or_create(layout.run / "secrets.json")
        postgres = Postgres(layout, settings, secrets, ports, processes, progress)
        code = OdooCode(layout, progress)
        templates = Templates(Installation(layout, code, postgres), progress)
        return cls(
            layout=layout,
            processes=processes,
            ports=ports,
            secrets=secrets,
            progress=progress,
            kafka=Kafka(layout, settings, ports, processes, progress),
            postgres=postgres,
            code=code,
            templates=templates,
            odoo=Odoo(settings, templates, ports, processes, progress),
            roles=Roles(layout, settings, ports, processes, progress),
        )

    def up(self, *, with_roles: bool = True) -> None:
        """Start whatever does not run yet; returns once everything is ready."""
        with self.locked(), ThreadPoolExecutor() as pool:
            kafka = pool.submit(self.kafka.ensure_running)
            self._prepare_odoo(pool)
            self.odoo.ensure_running()
            kafka.result()
            self.roles.settle_addresses()
            self._provision()
            if with_roles:
                self.roles.ensure_running(self._role_variables())

    def up_for_tests(self) -> str:
        """Start Kafka and PostgreSQL and prepare the template database; returns the template's name."""
        with self.locked(), ThreadPoolExecutor() as pool:
            kafka = pool.submit(self.kafka.ensure_running)
            self._prepare_odoo(pool)
            template = self.templates.ensure()
            kafka.result()
            return template

    def down(self, *, wipe: bool = False) -> list[str]:
        """Stop everything that runs, last started first; with `wipe` forget all data. Returns what was stopped."""
        with self.locked():
            stopped = [part for part in (DEMO_APP, *reversed(PARTS)) if self.processes.stop(part)]
            if wipe:
                for folder in (self.layout.data, self.layout.log, self.layout.run):
                    shutil.rmtree(folder)
                self.layout.env_file.unlink(missing_ok=True)
            return stopped

    @contextmanager
    def locked(self, name: str = "lock") -> Iterator[None]:
        """One command at a time per stack and lock; the next one waits."""
        with (self.layout.stack / name).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.progress.say("another command works on this stack; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _prepare_odoo(self, pool: ThreadPoolExecutor) -> None:
        """PostgreSQL runs and Odoo's code is there."""
        postgres, code = pool.submit(self.postgres.ensure_running), pool.submit(self.code.ensure_installed)
        postgres.result()
        code.result()

    def _provision(self) -> None:
        """Users and keys in Odoo; addresses and the demo's credentials in the `env` file."""
        saved = env_file.read(self.layout.env_file)
        with self.progress.step("Odoo: users and keys"):
            provision.ensure_bot(self.odoo.admin, self.secrets.bot_password)
            demo = provision.ensure_demo_service(self.odoo.admin, saved)
        api_key = demo.api_key or saved.get("FUSION_API_KEY")
        if api_key is None:
            raise LocalStackError(f"no API key in {self.layout.env_file}; ./deploy/down --wipe starts over")
        variables = {
            "FUSION_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "FUSION_GATEWAY_URL": self.roles.gateway_url,
            "FUSION_ODOO_URL": self.odoo.url,
            "FUSION_ODOO_DB": odoo.DATABASE,
            "FUSION_ODOO_LOGIN": ADMIN_LOGIN,
            "FUSION_ODOO_PASSWORD": ADMIN_PASSWORD,
            "FUSION_SERVICE": demo.service,
            "FUSION_API_KEY": api_key,
        }
        env_file.write(self.layout.env_file, variables, "Addresses and demo credentials of the local stack.")

    def _role_variables(self) -> dict[str, str]:
        """The settings the roles share; they act in Odoo as the pipeline's user, not as the administrator."""
        return {
            "FUSION_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "FUSION_ODOO_URL": self.odoo.url,
            "FUSION_ODOO_DB": odoo.DATABASE,
            "FUSION_ODOO_LOGIN": provision.BOT_LOGIN,
            "FUSION_ODOO_PASSWORD": self.secrets.bot_password,
            "FUSION_GATEWAY_HOST": HOST,
            "FUSION_GATEWAY_PORT": str(self.ports.of("gateway")),
            "FUSION_METER_DATA_DIR": str(self.layout.data / "meter"),
            "FUSION_SECRET_KEY": self.secrets.secret_key,
            "FUSION_WEBHOOK_ALLOW_PRIVATE": "true",
        }
