"""What Odoo has acknowledged to this process: who says it again needs no call, or a short one. Pure.

Only what Odoo accepted and `lines.v1` was told is remembered as *said*; of a refused row nothing but its version is, so
that it is asked again. The memory is no authority: forgetting costs a call, and a row that is not word for word the
acknowledged one is always decided by Odoo. It does not outlive the process, the ownership of a partition (another sink
may write meanwhile) or a call that Odoo did not answer (it may come back as it was before).
"""

from collections import OrderedDict
from collections.abc import Collection
from hashlib import blake2b
from typing import NamedTuple

from schemas.derived import Version
from sinks.kafka_client import Record
from sinks.odoo.reading import Rated

_DIGEST_BYTES = 16


class _Known(NamedTuple):
    """Of one key: the greatest version told; where it was accepted, digests of it and Odoo's own name for it."""

    version: Version
    partition: int
    said: bytes | None = None  # of the whole record
    meant: bytes | None = None  # `meaning` of it
    fingerprint: str | None = None


class Memory:
    """row: record key → what Odoo said of it; ≈ 500 bytes; the least recently told keys are forgotten first."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def is_said(self, record: Record) -> bool:
        """Tell whether this very record, byte for byte, is what Odoo accepted last for its key."""
        known = self._known.get(record.key or b"")
        return (
            known is not None
            and known.said is not None
            and known.partition == record.partition
            and known.said == _digest(record.value or b"")
        )

    def is_newer(self, record: Record, version: Version) -> bool:
        """Tell whether what was told of the record's key is newer than `version`; equal is not newer."""
        known = self._known.get(record.key or b"")
        return known is not None and known.version > version

    def fingerprint(self, record: Record, meant: bytes) -> str | None:
        """Return Odoo's name for what it accepted last of this key, if that meant the same."""
        known = self._known.get(record.key or b"")
        return known.fingerprint if known is not None and known.meant == meant else None

    def accepted(self, record: Record, version: Version, meant: bytes, fingerprint: str | None) -> None:
        """Remember that Odoo holds what this record says, and that `lines.v1` tells so."""
        self._keep(record, _Known(version, record.partition, _digest(record.value or b""), meant, fingerprint))

    def not_accepted(self, record: Record, version: Version) -> None:
        """Remember the version only: older ones are out of date, the same one may be asked again."""
        known = self._known.get(record.key or b"")
        version = version if known is None else max(version, known.version)
        self._keep(record, _Known(version, record.partition))

    def forget(self, partitions: Collection[int]) -> None:
        """Forget the keys of these partitions: from now on another sink may write them."""
        for key in [key for key, known in self._known.items() if known.partition in partitions]:
            del self._known[key]

    def forget_all(self) -> None:
        """Forget everything."""
        self._known.clear()

    def _keep(self, record: Record, known: _Known) -> None:
        key = record.key or b""
        self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > self._keys_max:
            self._known.popitem(last=False)


def meaning(rated: Rated) -> bytes:
    """Return a digest of all that an overage says, but for key and version; those fields always come in one order."""
    said = [value for name, value in rated.row.items() if name not in ("key", "version")]
    return _digest(repr(said).encode())


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=_DIGEST_BYTES).digest()
