"""Passwords and keys of one stack: made once, kept in `run/secrets.json` (0600), gone with `down --wipe`."""

from __future__ import annotations

import base64
import json
import secrets as randomness
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from deploy.local.files import write_private

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the parts of a stack use to trust each other."""

    postgres_password: str
    odoo_db_password: str
    bot_password: str
    secret_key: str


def load_or_create(path: Path) -> Secrets:
    """The secrets of the file, which is written first when it is missing."""
    if path.exists():
        return Secrets(**json.loads(path.read_text()))
    fresh = Secrets(
        postgres_password=randomness.token_urlsafe(24),
        odoo_db_password=randomness.token_urlsafe(24),
        bot_password=randomness.token_urlsafe(24),
        secret_key=base64.urlsafe_b64encode(randomness.token_bytes(32)).decode(),  # the form Fernet wants
    )
    write_private(path, json.dumps(asdict(fresh), indent=1) + "\n")
    return fresh
