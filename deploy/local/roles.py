"""The product's own processes: each is `fusion-billing <role>` with the stack's addresses in its environment."""

from __future__ import annotations

import http
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local import env_file, programs
from deploy.local.odoo_rpc import http_status
from deploy.local.ports import HOST
from deploy.local.processes import Launch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploy.local.layout import Layout
    from deploy.local.ports import Ports
    from deploy.local.processes import Processes
    from deploy.local.progress import Progress
    from deploy.local.settings import LocalSettings

ROLES = ("gateway", "meter", "odoo-feed", "odoo-sink", "webhook-sink")
_STOPS_WITHIN_S = 30.0  # drain, commit, snapshot


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of one stack."""

    layout: Layout
    settings: LocalSettings
    ports: Ports
    processes: Processes
    progress: Progress

    @property
    def gateway_url(self) -> str:
        """Where apps send their counters."""
        return f"http://{HOST}:{self.ports.of('gateway')}"

    @property
    def environment_file(self) -> Path:
        """The settings all roles share, secrets included."""
        return self.layout.run / "roles.env"

    def ops_port(self, role: str) -> int:
        """The port of the role's /metrics, /healthz and /readyz."""
        return self.ports.of(f"{role}-ops")

    def ensure_running(self, variables: Mapping[str, str]) -> None:
        """Return once every role is ready. A role that runs with other settings is started again with these."""
        if env_file.read(self.environment_file) != dict(variables):
            self.stop()
        env_file.write(self.environment_file, variables, "Settings of the roles; generated at each start.")
        self._apply_topics(variables)
        with self.progress.step("Roles: start"):
            for role in ROLES:
                if self.processes.pid(role) is None:
                    self._start(role, variables)
            for role in ROLES:
                self.processes.ensure(
                    role,
                    lambda role=role: self._start(role, variables),  # type: ignore[misc]
                    lambda role=role: self.is_ready(role),  # type: ignore[misc]
                    self.settings.ready_within_s,
                )

    def settle_addresses(self) -> None:
        """Choose the gateway's port for good; to be called before anyone is told its address."""
        if self.processes.pid("gateway") is None:
            self.ports.before_start("gateway")

    def is_ready(self, role: str) -> bool:
        """True when the role says that it can do its work."""
        return http_status(self.ops_port(role), "/readyz") == http.HTTPStatus.OK

    def stop(self) -> None:
        """Stop all roles, those that take facts in first."""
        for role in ROLES:
            self.processes.stop(role)

    def _apply_topics(self, variables: Mapping[str, str]) -> None:
        with self.progress.step("Kafka: topics"):
            programs.run([_command(), "topics", "apply"], env=_environment(variables), cwd=self.layout.repository)

    def _start(self, role: str, variables: Mapping[str, str]) -> None:
        own = {**variables, "FUSION_OPS_PORT": str(self.ports.before_start(f"{role}-ops"))}
        launch = Launch(
            argv=[_command(), role],
            env=_environment(own),
            cwd=self.layout.repository,
            stops_within_s=_STOPS_WITHIN_S,
        )
        self.processes.start(role, launch)


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {**programs.clean_environment(), **variables}


def _command() -> str:
    """The product's command, from the environment that runs us."""
    return programs.find("fusion-billing", Path(sys.executable).parent)
