"""Processes of the stack: started detached, found again by a later command, stopped for certain.

`run/<role>.pid` holds the bare PID, for people and tests. Whether that PID is still *our* process is decided
by `run/<role>.json`: start time and boot id, which a recycled PID cannot share. A zombie counts as dead.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.errors import NotReady, tail_of
from deploy.local.files import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deploy.local.layout import Layout

_POLL_S = 0.05
_KILLED_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start for a role."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stops_within_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of one stack, by role."""

    layout: Layout

    def pid(self, role: str) -> int | None:
        """The PID of the role's process while it is alive, else None."""
        try:
            record = json.loads(self._record(role).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        identity = _identity(int(record["pid"]))
        return int(record["pid"]) if identity is not None and identity == record["identity"] else None

    def start(self, role: str, launch: Launch) -> int:
        """Start the role's process in its own session, its output appended to its log; returns its PID."""
        log = self.log(role)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(launch.argv),
                cwd=launch.cwd,
                env=dict(launch.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # Detached on purpose: it outlives us, and the next command finds it by its record.
        process.returncode = 0
        record = {
            "pid": process.pid,
            "identity": _identity(process.pid),
            "stop_signal": int(launch.stop_signal),
            "stops_within_s": launch.stops_within_s,
        }
        write_private(self._record(role), json.dumps(record) + "\n")
        write_private(self._pid_file(role), f"{process.pid}\n")
        return process.pid

    def ensure(self, role: str, start: Callable[[], object], is_ready: Callable[[], bool], within_s: float) -> None:
        """Return once the role's process is ready; `start` it when none runs.

        Raises: NotReady.
        """
        if self.pid(role) is not None:
            try:
                self.wait_ready(role, is_ready, within_s)
            except NotReady:
                if self.pid(role) is not None:
                    raise
            else:
                return
        # None was running, or the one that was had been killed a moment before we looked.
        start()
        self.wait_ready(role, is_ready, within_s)

    def wait_ready(self, role: str, is_ready: Callable[[], bool], within_s: float) -> None:
        """Return once `is_ready()`.

        Raises: NotReady when the process died or the time is over, with the end of its log.
        """
        deadline = time.monotonic() + within_s
        while not is_ready():
            if self.pid(role) is None:
                raise self._not_ready(role, "ended while starting")
            if time.monotonic() > deadline:
                raise self._not_ready(role, f"was not ready within {within_s:.0f} s")
            time.sleep(_POLL_S)

    def stop(self, role: str) -> bool:
        """End the role's process: its polite signal, after a while SIGKILL for its group.

        Returns: False when none was running.
        """
        pid = self.pid(role)
        if pid is None:
            self._forget(role)
            return False
        record = json.loads(self._record(role).read_text())
        _signal(pid, record["stop_signal"])
        if not self._gone(role, float(record["stops_within_s"])):
            self.kill(role)
        self._forget(role)
        return True

    def kill(self, role: str) -> None:
        """SIGKILL for the role's process and everything in its group; returns when it is gone."""
        pid = self.pid(role)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if not self._gone(role, _KILLED_WITHIN_S):
            raise NotReady(f"{role} (pid {pid}) survived SIGKILL; it hangs in the kernel")

    def log(self, role: str) -> Path:
        """The role's log file."""
        return self.layout.log / f"{role}.log"

    def _gone(self, role: str, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while self.pid(role) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _not_ready(self, role: str, what: str) -> NotReady:
        log = self.log(role)
        return NotReady(f"{role} {what}; the end of {log}:\n{tail_of(log)}")

    def _forget(self, role: str) -> None:
        self._record(role).unlink(missing_ok=True)
        self._pid_file(role).unlink(missing_ok=True)

    def _record(self, role: str) -> Path:
        return self.layout.run / f"{role}.json"

    def _pid_file(self, role: str) -> Path:
        return self.layout.run / f"{role}.pid"


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _identity(pid: int) -> str | None:
    """What tells this process from any other that ever had the PID; None when there is none or it is dead."""
    # A child of ours stays a zombie until it is waited for.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    state, start_ticks = fields[0], fields[19]
    if state in ("Z", "X") and not _has_threads_left(pid):
        return None
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{start_ticks}"


def _has_threads_left(pid: int) -> bool:
    """True while other threads of a killed process still hold its ports and files."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except FileNotFoundError:
        return False
