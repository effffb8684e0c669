"""Waiting for a condition with a deadline, never for a time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
_POLL_S = 0.05


def wait_until(condition: Callable[[], T], deadline_s: float, what: str) -> T:
    """The first true value of `condition()`; an AssertionError inside it counts as: not yet.

    Raises: DeadlinePassedError at the deadline, saying what was awaited and the last state seen.
    """
    wait = _Wait(what, deadline_s)
    while True:
        try:
            if state := condition():
                return state
            wait.not_yet(repr(state))
        except AssertionError as error:
            wait.not_yet(str(error))
        time.sleep(_POLL_S)


async def wait_until_async(condition: Callable[[], Awaitable[T]], deadline_s: float, what: str) -> T:
    """`wait_until` for a condition that has to be awaited itself."""
    wait = _Wait(what, deadline_s)
    while True:
        try:
            if state := await condition():
                return state
            wait.not_yet(repr(state))
        except AssertionError as error:
            wait.not_yet(str(error))
        await asyncio.sleep(_POLL_S)


class DeadlinePassedError(Exception):
    """What was awaited did not happen; no AssertionError, so that an outer wait does not swallow it."""


@dataclass(slots=True)
class _Wait:
    what: str
    deadline_s: float
    began: float = field(default_factory=time.monotonic)

    def not_yet(self, state: str) -> None:
        if time.monotonic() - self.began > self.deadline_s:
            raise DeadlinePassedError(f"{self.what}: not within {self.deadline_s:g} s; last state: {state}")
