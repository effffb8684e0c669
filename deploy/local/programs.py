"""Finding and running the programs of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.errors import CommandFailed, ProgramMissing, tail_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Variables that point another Python, or another PostgreSQL client, somewhere else than we say.
_MISLEADING = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"})
_OUTPUT_CHARACTERS_MAX = 3000


def find(name: str, *folders: Path) -> str:
    """The path of a program, from `folders` first, then from PATH.

    Raises: ProgramMissing.
    """
    for folder in folders:
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise ProgramMissing(
            f"{name} is not installed; ./deploy/up installs it on Debian 12, elsewhere install it yourself"
        )
    return found


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would mislead the programs we start."""
    return {k: v for k, v in os.environ.items() if k not in _MISLEADING and not k.startswith("PG")}


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
) -> str:
    """The program's standard output; nothing when all it says goes to `log`.

    Raises: CommandFailed with the end of what it said.
    """
    environment = dict(clean_environment() if env is None else env)
    name = Path(argv[0]).name
    if log is not None:
        with log.open("wb") as output:
            done = subprocess.run(
                list(argv),
                env=environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise CommandFailed(f"{name} ended with {done.returncode}; the end of {log}:\n{tail_of(log)}")
        return ""
    spoken = subprocess.run(
        list(argv),
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if spoken.returncode != 0:
        said = (spoken.stderr.strip() or spoken.stdout.strip())[-_OUTPUT_CHARACTERS_MAX:]
        raise CommandFailed(f"{name} ended with {spoken.returncode}: {said}")
    return spoken.stdout
