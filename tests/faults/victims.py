"""Meters that tests disturb at their failpoints."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.faults.victim_process import run_victim
from tests.faults.workers import READY_WITHIN_S, Process, Worker
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

Step = tuple[str, str, int]
"""A failpoint, what to do there, and at which pass."""


@dataclass(slots=True)
class Victim(Worker):
    """A meter whose failpoints obey the test; it may carry a planted bug.

    It is forked from a process that has everything imported, which spares two seconds of computing per start.
    """

    mutant: str | None = None

    def arm(self, *steps: Step) -> None:
        """Have these things done from now on, one after the other; see `victim_process`."""
        wishes = self._wishes.with_suffix(".new")
        wishes.write_text(json.dumps(steps))
        wishes.replace(self._wishes)

    @property
    def is_armed(self) -> bool:
        """True until all that was armed has happened."""
        return self._wishes.exists()

    def disarm(self) -> None:
        """Forget what is armed."""
        self._wishes.unlink(missing_ok=True)

    def wait_until_hit(self) -> None:
        """Return once all that was armed has happened."""
        wait_until(lambda: not self.is_armed, READY_WITHIN_S, f"{self.name} at its failpoint")

    def wait_for_restart(self, failures: int) -> None:
        """Return once its supervisor has started it again, after so many failures before."""
        wait_until(lambda: self.failures > failures, READY_WITHIN_S, f"{self.name} started again")

    @property
    def _wishes(self) -> Path:
        return self.log.with_suffix(".failpoint")

    def _launch(self) -> Process:
        return _Forked(_fork(self.variables, self.log, self._wishes, self.mutant))


@dataclass(frozen=True, slots=True)
class _Forked:
    process: Any

    @property
    def pid(self) -> int:
        """Its number."""
        return int(self.process.pid)

    def poll(self) -> int | None:
        """Its exit code."""
        code: int | None = self.process.exitcode
        return code


def _fork(variables: dict[str, str], log: Path, wish: Path, mutant: str | None) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.preloaded"])
    process = context.Process(target=run_victim, args=(variables, log, wish, mutant), daemon=True)
    process.start()
    return process
