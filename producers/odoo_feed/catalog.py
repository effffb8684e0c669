"""From Odoo's catalog records to changes of `catalog.v1`. Pure, except that sealing a new secret takes randomness."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from producers.kafka_client.records import RECORD_BYTES_MAX
from schemas.catalog import CatalogEntry, Endpoint, catalog_entry, catalog_key
from schemas.errors import BillingError
from schemas.odoo_rpc import CatalogRecord
from schemas.sealing import CannotOpen, open_sealed, seal

_DELETIONS_ALWAYS_ALLOWED = 20


@dataclass(frozen=True, slots=True)
class Change:
    """One record to publish; null deletes the key."""

    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record from Odoo that does not fit the contract; its key keeps what it has."""

    key: str
    problem: str


class CatalogShrank(BillingError):
    """Odoo suddenly names so few records that deleting the others would more likely be a mistake than a wish."""


def check_deletions(changes: Sequence[Change], known: int, percent_max: float) -> None:
    """Do nothing unless the changes delete more than `percent_max` of the `known` records.

    A lost access right, a wrong database or a broken addon looks exactly like an emptied catalog. Few records may go
    at once whatever their share: so small a catalog is being set up, and quickly put right.

    Raises:
        CatalogShrank: with the numbers and the setting that allows it.
    """
    deleted = sum(change.value is None for change in changes)
    if deleted > _DELETIONS_ALWAYS_ALLOWED and deleted * 100 > known * percent_max:
        raise CatalogShrank(
            f"Odoo does not name {deleted} of {known} catalog records any more. Nothing was deleted or changed. "
            f"If that is right, start the feed once with FUSION_CATALOG_DELETIONS_PERCENT_MAX=100"
        )


def plan_changes(current: Mapping[str, bytes], wanted: Mapping[str, bytes | None], *, is_full: bool) -> list[Change]:
    """Return what turns `current` into `wanted`: writes and deletions in the order of `wanted`.

    With `is_full`, keys of `current` that `wanted` does not name are gone and deleted last; without, they stay.
    """
    changes = [Change(key, value) for key, value in wanted.items() if current.get(key) != value]
    if is_full:
        changes += [Change(key, None) for key in current if key not in wanted]
    return changes


def wanted_values(
    records: Sequence[CatalogRecord], current: Mapping[str, bytes], secret_key: str
) -> tuple[dict[str, bytes | None], list[Unreadable]]:
    """Return the value each key should have, and the records that no reader could use.

    Secrets come out sealed. One that did not change keeps the sealed text it has, so that it counts as equal.
    """
    wanted: dict[str, bytes | None] = {}
    unreadable: list[Unreadable] = []
    for record in records:
        key, value = record["key"], record["value"]
        try:
            wanted[key] = None if value is None else _value(key, value, current.get(key), secret_key)
        except ValueError as error:
            unreadable.append(Unreadable(key, problem_of(error)))
            if key in current:
                wanted[key] = current[key]
    return wanted, unreadable


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """Return the one encoding of a document: equal documents give equal bytes.

    Raises:
        ValueError: too large for a record, or not valid Unicode.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    encoded = text.encode()
    if len(encoded) > RECORD_BYTES_MAX:
        raise ValueError(f"{len(encoded)} bytes exceed what a record takes ({RECORD_BYTES_MAX})")
    return encoded


def _value(key: str, fields: Mapping[str, Any], current: bytes | None, secret_key: str) -> bytes:
    if fields.get("kind") == "endpoint":
        fields = _sealed(fields, current, secret_key)
    entry = catalog_entry.validate_python(fields)
    if catalog_key(entry) != key:
        raise ValueError(f"the record says it is {catalog_key(entry)}")
    return canonical_json(entry.model_dump(mode="json"))


def _sealed(fields: Mapping[str, Any], current: bytes | None, secret_key: str) -> dict[str, Any]:
    """Return an endpoint's fields with `sealed_secrets` in the place of `secrets`."""
    secrets = [secret for secret in fields.get("secrets") or () if secret]
    if not all(isinstance(secret, str) for secret in secrets):
        raise ValueError("secrets must be text")
    known = _opened(current, secret_key)
    sealed = [known.get(secret) or seal(secret, secret_key) for secret in secrets]
    return {name: value for name, value in fields.items() if name != "secrets"} | {"sealed_secrets": sealed}


def _opened(current: bytes | None, secret_key: str) -> dict[str, str]:
    """Return {secret: sealed text} of an endpoint's present record, as far as this key opens it."""
    entry: CatalogEntry | None = None
    if current is not None:
        with suppress(ValidationError):
            entry = catalog_entry.validate_json(current)
    opened: dict[str, str] = {}
    for sealed in entry.sealed_secrets if isinstance(entry, Endpoint) else ():
        with suppress(CannotOpen):
            opened[open_sealed(sealed, secret_key)] = sealed
    return opened


def problem_of(error: ValueError) -> str:
    """Say what is wrong without repeating the record, which may hold a secret."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)
