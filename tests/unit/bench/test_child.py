"""Measured processes: gone with their block, and failures told with what they said last."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from deploy.bench.common.child import running
from deploy.bench.common.errors import BenchmarkFailed

if TYPE_CHECKING:
    from pathlib import Path

_WAITS = "import sys; sys.stdin.close(); import threading; threading.Event().wait()"


def test_a_process_is_gone_when_its_block_ends_by_an_exception(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a measurement leaves nothing behind."""
    with (
        suppress(KeyboardInterrupt),
        running("a child", [sys.executable, "-c", _WAITS], {}, tmp_path / "log", tmp_path) as child,
    ):
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(child.process.pid, 0)


def test_an_ended_process_gives_what_it_used(tmp_path: Path) -> None:
    """CPU and memory as they were seen before it ended."""
    work = "sum(range(10_000_000))"
    with running("a child", [sys.executable, "-c", work], {}, tmp_path / "log", tmp_path) as child:
        cpu_s, peak_mib = child.wait(within_s=30)
    assert cpu_s >= 0
    assert peak_mib > 0


def test_a_failure_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    """One look at the message is enough."""
    argv = [sys.executable, "-c", "raise SystemExit('no broker here')"]
    with (
        running("a child", argv, {}, tmp_path / "log", tmp_path) as child,
        pytest.raises(BenchmarkFailed, match=r"a child ended with 1(.|\n)*no broker here"),
    ):
        child.wait(within_s=30)


def test_a_process_that_takes_too_long_is_a_failure(tmp_path: Path) -> None:
    """Bounded in time, whatever a peer does."""
    with (
        running("a child", [sys.executable, "-c", _WAITS], {}, tmp_path / "log", tmp_path) as child,
        pytest.raises(BenchmarkFailed, match="did not end within 0 s"),
    ):
        child.wait(within_s=0)
