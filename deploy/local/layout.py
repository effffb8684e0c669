"""Where the local stack keeps what.

`.local/` of the checkout holds what every stack shares and what only downloads fill (`cache`, `kafka`,
`odoo`, `venv`); a stack's own folder (the same one by default) holds `data`, `log`, `run` and `env`, which
`down --wipe` removes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one stack."""

    repository: Path
    stack: Path

    @classmethod
    def of(cls, repository: Path, directory: Path) -> Layout:
        """The layout of a stack in `directory`, which counts from the repository when relative."""
        return cls(repository=repository, stack=(repository / directory).absolute())

    @property
    def shared(self) -> Path:
        """Downloads and installed programs, shared by all stacks of the checkout."""
        return self.repository / ".local"

    @property
    def cache(self) -> Path:
        """Downloads and prepared databases; deleting it costs time only."""
        return self.shared / "cache"

    @property
    def data(self) -> Path:
        """What the stack has stored: Kafka's log, the PostgreSQL cluster, Odoo's files, snapshots."""
        return self.stack / "data"

    @property
    def run(self) -> Path:
        """PIDs, ports, generated configuration and secrets; private to the user."""
        return self.stack / "run"

    @property
    def log(self) -> Path:
        """One log per process."""
        return self.stack / "log"

    @property
    def env_file(self) -> Path:
        """Addresses and demo credentials, for people and apps."""
        return self.stack / "env"

    def create(self) -> None:
        """Make the folders that are missing."""
        for folder in (self.stack, self.data, self.log, self.cache):
            folder.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)
