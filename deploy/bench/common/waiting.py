"""Waiting for a condition with a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from deploy.bench.common.errors import BenchmarkFailed

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_until(condition: Callable[[], T], within_s: float, what: str, poll_s: float = 0.05) -> T:
    """The first true value of `condition()`.

    Raises: BenchmarkFailed when the time is over.
    """
    deadline = time.monotonic() + within_s
    while not (state := condition()):
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{what}: not within {within_s:.0f} s")
        time.sleep(poll_s)
    return state
