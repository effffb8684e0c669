"""Finding and running the programs of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.errors import CommandFailed, ProgramMissing

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
            f"{name} is not installed; ./deploy/up installs it on Debian 12, elsewhere see deploy/compose"
        )
    return found


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would mislead the programs we start."""
    return {k: v for k, v in os.environ.items() if k not in _MISLEADING and not k.startswith("PG")}


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: str = "") -> str:
    """The program's standard output.

    Raises: CommandFailed with the end of what it said.
    """
    done = subprocess.run(
        list(argv),
        env=dict(clean_environment() if env is None else env),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-_OUTPUT_CHARACTERS_MAX:]
        raise CommandFailed(f"{Path(argv[0]).name} ended with {done.returncode}: {said}")
    return done.stdout
