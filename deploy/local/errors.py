"""What can go wrong while the local stack starts.

LocalStackError                 one sentence for a person, then exit 1
├─ ProgramMissing               something the bootstrap should have installed is not there
├─ CommandFailed                a program answered with an error; carries the end of its output
└─ NotReady                     a process did not become ready in time, or died on the way
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_LINES = 20


class LocalStackError(Exception):
    """The stack cannot go on; the text says what to do."""


class ProgramMissing(LocalStackError):
    """A program this machine should have is missing."""


class CommandFailed(LocalStackError):
    """A program ended with an error."""


class NotReady(LocalStackError):
    """A process is not ready, with the last lines of its log."""


def tail_of(log: Path) -> str:
    """The last lines of a log, indented, or a remark that there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "  (no log was written)"
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:]) or "  (its log is empty)"
