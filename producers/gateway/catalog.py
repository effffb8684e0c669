"""What the gateway knows of the catalog: services with their keys, metrics, charges. All in memory, no I/O."""

import hashlib
import hmac
import threading
from dataclasses import dataclass
from typing import NamedTuple

import structlog
from pydantic import ValidationError

from schemas.catalog import Charge, Metric, Service, catalog_entry

_log = structlog.get_logger("fusion.gateway")

_KINDS = ("service/", "metric/", "charge/")

Entry = Service | Metric | Charge


def key_digest(api_key: str) -> str:
    """Return what stands for a raw key in the catalog and in Odoo: its SHA-256, in hex."""
    return hashlib.sha256(api_key.encode(errors="surrogatepass")).hexdigest()


class KeyOwner(NamedTuple):
    """Whose a key is; `key_hash` is its SHA-256 in hex."""

    service: str
    key_hash: str


@dataclass(frozen=True, slots=True)
class _Index:
    """One consistent picture of the catalog; replaced as a whole, so readers need no lock."""

    keys: tuple[tuple[bytes, str], ...]  # (SHA-256 of a key, code of its service), active services only
    metrics: dict[tuple[str | None, str], Metric]
    charges: tuple[Charge, ...]


class CatalogView:
    """A growing picture of `catalog.v1`, fed record by record with `apply`; safe to read from any thread."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._index: _Index | None = None

    def apply(self, key: str, value: bytes | None) -> None:
        """Take over one record of the topic; null deletes. One that cannot be read is reported and changes nothing."""
        if not key.startswith(_KINDS):
            return
        entry: Entry | None = None
        if value is not None:
            try:
                parsed = catalog_entry.validate_json(value)
            except ValidationError as error:
                _log.warning("gateway.catalog_record_skipped", key=key, errors=error.error_count())
                return
            if not isinstance(parsed, Service | Metric | Charge):
                return
            entry = parsed
        with self._lock:
            if entry is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = entry
            self._index = None

    def owner_of(self, api_key: str) -> KeyOwner | None:
        """Return the active service that this raw key belongs to.

        Every key on file is compared, each in constant time, so the answer takes equally long for any key.
        """
        digest = key_digest(api_key)
        encoded = digest.encode()
        found: str | None = None
        for known, service in self._current().keys:
            if hmac.compare_digest(known, encoded):
                found = service
        return None if found is None else KeyOwner(found, digest)

    def metric(self, service: str, code: str) -> Metric | None:
        """Return the metric a service means by `code`: its own, else the shared one, else None (not known yet)."""
        metrics = self._current().metrics
        return metrics.get((service, code)) or metrics.get((None, code))

    def charges(self, service: str) -> list[Charge]:
        """Return the active charges a service may see, its own and the shared ones, by plan code and code."""
        visible = [charge for charge in self._current().charges if charge.service in (None, service)]
        return sorted(visible, key=lambda charge: (charge.plan_code or "", charge.code, charge.id))

    def _current(self) -> _Index:
        index = self._index
        if index is None:
            with self._lock:
                index = self._index = _indexed(list(self._entries.values()))
        return index


def _indexed(entries: list[Entry]) -> _Index:
    services = [entry for entry in entries if isinstance(entry, Service) and entry.active]
    return _Index(
        keys=tuple(
            (hashed.lower().encode(), service.code) for service in services for hashed in service.api_key_hashes
        ),
        metrics={(entry.service, entry.code): entry for entry in entries if isinstance(entry, Metric)},
        charges=tuple(entry for entry in entries if isinstance(entry, Charge) and entry.active),
    )
