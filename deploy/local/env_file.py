"""Files of `NAME=value` lines which a shell can source and we can read back; private to the user (0600)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from deploy.local.files import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read(path: Path) -> dict[str, str]:
    """The variables of the file; none when it is missing."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    variables = {}
    for line in lines:
        name, equals, quoted = line.partition("=")
        if equals and not name.startswith("#"):
            variables[name] = "".join(shlex.split(quoted))
    return variables


def write(path: Path, variables: Mapping[str, str], remark: str) -> None:
    """Replace the file: a remark, then one variable per line in the given order."""
    lines = [f"# {remark}", *(f"{name}={shlex.quote(value)}" for name, value in variables.items())]
    write_private(path, "\n".join(lines) + "\n")


def update(path: Path, variables: Mapping[str, str], remark: str) -> None:
    """Set variables in the file and keep the others; writes nothing when all are there already."""
    known = read(path)
    wanted = {**known, **variables}
    if wanted != known:
        write(path, wanted, remark)
