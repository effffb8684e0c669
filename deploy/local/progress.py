"""Tells a person what is happening: a line per step that takes more than a moment, with the elapsed seconds.

On standard error, so that results stay alone on standard output; plain lines, so that a log reads the same.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from deploy.local.files import size_mb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WORTH_A_LINE_S = 2.0
_REPEAT_S = 5.0


@dataclass(slots=True)
class Progress:
    """Prints steps as they go; steps may run in several threads at once."""

    out: TextIO = field(default_factory=lambda: sys.stderr)
    started: float = field(default_factory=time.monotonic)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def say(self, text: str) -> None:
        """One line, with the seconds since the command began."""
        with self._writing:
            self.out.write(f"[{time.monotonic() - self.started:5.1f} s] {text}\n")
            self.out.flush()

    @contextmanager
    def step(self, name: str, growing: Path | None = None, about_mb: int = 0) -> Iterator[None]:
        """Report a step: when it lasts, every few seconds while it goes on, and at its end.

        Args:
            name: what is done, in a few words.
            growing: a folder whose size shows the advance, for downloads.
            about_mb: the size it will have.
        """
        began, over = time.monotonic(), threading.Event()
        ticker = threading.Thread(target=self._tick, args=(name, growing, about_mb, over), daemon=True)
        ticker.start()
        try:
            yield
        except BaseException:
            self.say(f"{name}: failed after {time.monotonic() - began:.0f} s")
            raise
        else:
            if (lasted_s := time.monotonic() - began) >= _WORTH_A_LINE_S:
                self.say(f"{name}: done in {lasted_s:.0f} s")
        finally:
            over.set()
            ticker.join()

    def _tick(self, name: str, growing: Path | None, about_mb: int, over: threading.Event) -> None:
        wait_s = _WORTH_A_LINE_S
        while not over.wait(wait_s):
            advance = f" ({size_mb(growing)} of about {about_mb} MB)" if growing is not None else ""
            self.say(f"{name} …{advance}")
            wait_s = _REPEAT_S
