"""A measured process: started, watched through /proc, and gone when its block ends, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.bench.common.errors import BenchmarkFailed
from deploy.local.errors import tail_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STOPS_WITHIN_S = 30.0
_WATCH_S = 0.1


@dataclass(slots=True)
class Child:
    """One process of a benchmark; `log` holds all it said."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check_alive(self) -> None:
        """Do nothing while it runs.

        Raises: BenchmarkFailed with the end of its log.
        """
        if (code := self.process.poll()) is not None:
            raise BenchmarkFailed(f"{self.name} ended with {code}; the end of {self.log}:\n{tail_of(self.log)}")

    def cpu_s(self) -> float:
        """Seconds of CPU it has used so far, all threads, user and system; an ended process keeps its figure."""
        return cpu_s_of(self.process.pid)

    def rss_mib(self, *, peak: bool) -> float:
        """Memory it holds now, or the most it ever held; 0 once it has ended."""
        wanted = "VmHWM:" if peak else "VmRSS:"
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(wanted):
                return int(line.split()[1]) / 1024
        return 0.0

    def kill(self) -> None:
        """As a power cut would."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it politely, after a while for certain; returns its exit code."""
        self._signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode

    def wait(self, within_s: float) -> tuple[float, float]:
        """Return once it has ended well: its seconds of CPU and its peak MiB, as they were last seen.

        Raises: BenchmarkFailed when it failed or the time is over, with the end of its log.
        """
        deadline = time.monotonic() + within_s
        cpu_s = peak_mib = 0.0
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                late = f"{self.name} did not end within {within_s:.0f} s"
                raise BenchmarkFailed(f"{late}; the end of its log:\n{tail_of(self.log)}")
            # One that ends between the two looks shows no memory any more.
            cpu_s, peak_mib = self.cpu_s(), self.rss_mib(peak=True) or peak_mib
            time.sleep(_WATCH_S)
        if self.process.returncode != 0:
            self.check_alive()
        return cpu_s, peak_mib

    def _signal(self, number: signal.Signals) -> None:
        # Its group, for whatever it has started itself; it leads a session of its own.
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)


def cpu_s_of(pid: int) -> float:
    """Seconds of CPU a process has used so far, all threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


@contextmanager
def running(name: str, argv: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path) -> Iterator[Child]:
    """A process that lives as long as the block at most; killed at its end if nobody stopped it before."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we end it ourselves, in order.
        )
    child = Child(name, process, log)
    try:
        yield child
    finally:
        child.kill()
