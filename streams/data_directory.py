"""The meter's data directory: one process at a time, as two would overwrite each other's snapshots."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ConfigurationError

# A former process may still be writing its last snapshots.
_WAIT_S = 10.0
_POLL_S = 0.1
_NAME = "lock"


@contextmanager
def locked(directory: Path, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Own `directory`, created if need be, inside the block; the kernel lets go of it when the process dies.

    Raises:
        ConfigurationError: another process owns it, and still does after `wait_s`; the sentence names the setting.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(descriptor, directory, time.monotonic() + wait_s)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path, deadline_s: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                raise ConfigurationError(
                    f"FUSION_METER_DATA_DIR: another meter works in {directory}; give each worker one of its own"
                ) from None
            time.sleep(_POLL_S)
        else:
            return
