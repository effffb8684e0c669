"""Failpoints: names for the places between two steps, at which a fault test kills, pauses or disturbs the process.

No setting and no variable reaches them: what happens there is handed in by the program that the fault tests start
instead of `fusion-billing`. Everywhere else a failpoint is a loop over nothing.
"""

from collections.abc import Callable

Act = Callable[[str], None]

_armed: list[Act] = []


def failpoint(name: str) -> None:
    """Mark a place between two steps; does nothing unless `arm` was called."""
    for act in _armed:
        act(name)


def arm(act: Act) -> None:
    """Have `act` called with the name of each failpoint that is passed from now on, in whatever thread."""
    _armed.append(act)
