"""What `catalog.v1` holds, as far as it was read: key → value, deletions gone."""

import threading


class CatalogMirror:
    """Written by the topic's reader only, read by the feed.

    So a record that somebody else wrote there is found, and put right by the next full comparison.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, bytes] = {}

    def apply(self, key: str, value: bytes | None) -> None:
        """Take in one record."""
        with self._lock:
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value

    def values(self) -> dict[str, bytes]:
        """Return a copy of everything."""
        with self._lock:
            return dict(self._values)
