"""What was handled, in a file that outlives the process."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_KEPT = ("id", "type", "time", "subscription", "customer")


class Memory:
    """One line of JSON per event. A real app keeps this in its database, in the transaction of what it does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the events in the order they were handled.

        The last line may have been cut off by a crash; then its event was never confirmed, and it comes again.
        """
        content = self._path.read_bytes() if self._path.exists() else b""
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self._path, whole)
        for line in content[:whole].splitlines():
            yield json.loads(line)

    def add(self, event: dict[str, Any]) -> None:
        """Return once the event is on the disk."""
        with self._path.open("ab") as file:
            file.write(json.dumps({field: event.get(field) for field in _KEPT}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
