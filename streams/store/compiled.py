"""Compiling the loops over columns, and keeping what was compiled for later starts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import structlog
from numba.core.caching import FunctionCache

log = structlog.get_logger()

# Compiled anew in each process, as neither the folder of their source nor the user's cache could be written to.
_not_kept: list[Any] = []


class _Cache(FunctionCache):  # type: ignore[misc]  # the library is untyped
    """numba's own, on a disk that may be full: then the next start takes longer."""

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, if there is room."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            log.warning("kernels.not_kept", directory=self.cache_path, error=str(error))


def compiled(function: Callable[..., Any]) -> Any:
    """Have a function compiled at its first call, to run without the interpreter's lock; kept on disk where possible.

    numba refuses to take a function that it cannot keep, as in an image that belongs to another user.
    """
    dispatcher = numba.njit(nogil=True)(function)
    try:
        _keep(dispatcher)
    except RuntimeError:
        _not_kept.append(dispatcher)
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """Have a function compiled as a part of those that call it."""
    return numba.njit(nogil=True, inline="always")(function)


def keep_in(data_directory: Path) -> None:
    """Keep below this directory what could not be kept where numba keeps it by itself; never fails.

    NUMBA_CACHE_DIR, numba's own variable, names another place for everything.
    """
    if not _not_kept:
        return
    directory = data_directory / "compiled"
    numba.config.CACHE_DIR = str(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        while _not_kept:
            _keep(_not_kept[-1])
            _not_kept.pop()
    except (OSError, RuntimeError) as error:
        log.warning("kernels.not_kept", directory=str(directory), error=str(error), remedy="set NUMBA_CACHE_DIR")


def _keep(dispatcher: Any) -> None:
    dispatcher._cache = _Cache(dispatcher.py_func)  # noqa: SLF001 -- numba has no public way
