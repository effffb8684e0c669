"""One process at a time works on a data directory: a lock that ends with its holder, however that ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ConfigurationError

LOCK_NAME = "lock"


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the directory's lock inside the block.

    Raises:
        ConfigurationError: another process holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK_NAME).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"the data directory {directory} is in use by another process: stop that meter first"
            ) from None
        yield
