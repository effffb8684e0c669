"""Meter processes under test: started, killed, paused and started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from deploy.local.settings import REPOSITORY
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

# On a fresh checkout the first start compiles its loops: half a minute, more on a busy machine.
READY_WITHIN_S = 150.0
_STOPPED_WITHIN_S = 60.0


class Process(Protocol):
    """A process of ours, whichever way it was started."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; null while it lives."""
        ...


@dataclass(slots=True)
class Worker:
    """One meter as it runs in production; `failures` counts the ends that the test did not ask for."""

    name: str
    variables: dict[str, str]
    log: Path
    process: Process | None = None
    failures: int = 0
    _is_wanted: bool = False
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def start(self) -> None:
        """Start it; it may take a while until it works."""
        with self._turn:
            if self.process is not None and self.process.poll() is None:
                raise AssertionError(f"{self.name} runs already")
            self.process = self._launch()
            self._is_wanted = True

    def stop(self) -> int:
        """Stop it the polite way and return its exit code."""
        self._is_wanted = False
        process = self._running()
        os.kill(process.pid, signal.SIGTERM)
        return self._wait_for_end(process)

    def kill(self) -> None:
        """Stop it as a power cut would."""
        self._is_wanted = False
        process = self._running()
        os.kill(process.pid, signal.SIGKILL)
        self._wait_for_end(process)

    def pause(self) -> None:
        """It keeps its connections but does nothing."""
        os.kill(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        os.kill(self._running().pid, signal.SIGCONT)

    def supervise(self) -> None:
        """Start it again if it has ended by itself."""
        with self._turn:
            if self._is_wanted and self.process is not None and self.process.poll() is not None:
                self.failures += 1
                self.start()

    def let_go(self) -> None:
        """Whenever it ends, nobody starts it again."""
        self._is_wanted = False

    def wait_for_end(self) -> int:
        """Return its exit code once it has ended."""
        if self.process is None:
            raise AssertionError(f"{self.name} was never started")
        return self._wait_for_end(self.process)

    def count(self, event: str) -> int:
        """How often it has logged an event."""
        return self.log.read_text(errors="replace").count(f'"event": "{event}"') if self.log.exists() else 0

    @property
    def ops_port(self) -> int:
        """Where it last said that its metrics are."""
        return int(re.findall(r'"ops_port": (\d+)', self.log.read_text(errors="replace"))[-1])

    def wait_for(self, event: str, times: int = 1) -> None:
        """Return once it has logged an event so often."""
        wait_until(lambda: self.count(event) >= times, READY_WITHIN_S, f"{self.name}: {times} times {event}")

    def wait_for_more(self, event: str, times: int = 1) -> None:
        """Return once it has logged an event so often from now on."""
        self.wait_for(event, self.count(event) + times)

    def snapshots(self) -> list[Path]:
        """Its snapshot files, oldest first per partition."""
        return sorted(self.folder.rglob("*.snapshot"))

    @property
    def folder(self) -> Path:
        """Where its snapshots lie."""
        return Path(self.variables["FUSION_METER_DATA_DIR"])

    def end(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        with self._turn:
            self._is_wanted = False
            if self.process is not None and self.process.poll() is None:
                os.kill(self.process.pid, signal.SIGKILL)
                self._wait_for_end(self.process)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def _launch(self) -> Process:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FUSION_")}
        command = [sys.executable, "-c", "from deploy.cli import main; main()", "meter"]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=REPOSITORY, env=inherited | self.variables, stdout=log, stderr=log)

    def _running(self) -> Process:
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f"{self.name} does not run: …{self.tail()}")
        return self.process

    def _wait_for_end(self, process: Process) -> int:
        wait_until(lambda: process.poll() is not None, _STOPPED_WITHIN_S, f"{self.name} ended")
        code = process.poll()
        return -1 if code is None else code


@contextmanager
def running(*workers: Worker, may_fail: bool = False) -> Iterator[None]:
    """These workers run inside the block, under a supervisor, and are gone after it.

    Unless they may, none of them has ended by itself.
    """
    over = threading.Event()

    def supervise() -> None:
        while not over.wait(0.1):
            for worker in workers:
                worker.supervise()

    supervisor = threading.Thread(target=supervise, name="supervisor", daemon=True)
    try:
        for worker in workers:
            worker.start()
        supervisor.start()
        yield
    finally:
        over.set()
        if supervisor.ident is not None:
            supervisor.join()
        for worker in workers:
            worker.end()
    failed = [worker for worker in workers if worker.failures]
    if failed and not may_fail:
        raise AssertionError(f"{failed[0].name} ended by itself {failed[0].failures} times: …{failed[0].tail()}")
