"""Keys that Odoo has made and the catalog does not name yet: for the second or so that the feed takes."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from producers.gateway.catalog import KeyOwner, key_digest
from producers.gateway.odoo import OdooCalls
from schemas.errors import OdooRefused, OdooUnavailable

_log = structlog.get_logger("fusion.gateway")

_PREFIX = "fus_"  # of every key that Odoo makes
_FOUND_LASTS_S = 10.0  # by then the catalog names it; a key that is revoked opens nothing longer than that
_UNKNOWN_LASTS_S = 1.0
_ASK_EVERY_S = 0.2
_HELD_MAX = 1000


class _Held(NamedTuple):
    owner: KeyOwner | None
    until_s: float


class NewKeys:
    """Asks Odoo for a key, one at a time and five a second at most, so that wrong keys cost neither of us anything.

    Whoever comes with another key meanwhile is refused, as without this; so is everybody while Odoo is away.
    """

    def __init__(self, odoo: OdooCalls, now_s: Callable[[], float] = time.monotonic) -> None:
        self._odoo = odoo
        self._now_s = now_s
        self._held: dict[str, _Held] = {}
        self._asked: tuple[str, asyncio.Task[KeyOwner | None]] | None = None
        self._next_s = 0.0

    async def owner_of(self, api_key: str) -> KeyOwner | None:
        """Return the active service that has this raw key, as far as Odoo could be asked."""
        if not api_key.startswith(_PREFIX):
            return None
        digest = key_digest(api_key)
        held, now_s = self._held.get(digest), self._now_s()
        if held is not None and now_s < held.until_s:
            return held.owner
        if self._asked is None and now_s >= self._next_s:
            self._asked = digest, asyncio.create_task(self._ask(digest))
        if self._asked is None or self._asked[0] != digest:
            return None
        return await asyncio.shield(self._asked[1])

    async def _ask(self, digest: str) -> KeyOwner | None:
        try:
            service = await self._odoo.call(lambda odoo: odoo.find_key(digest))
        except (OdooUnavailable, OdooRefused) as error:
            _log.warning("gateway.key_not_looked_up", error=str(error)[:500])
            return None
        finally:
            self._asked = None
            self._next_s = self._now_s() + _ASK_EVERY_S
        owner = None if service is None else KeyOwner(service, digest)
        if len(self._held) >= _HELD_MAX:
            self._held.clear()
        self._held[digest] = _Held(owner, self._now_s() + (_UNKNOWN_LASTS_S if owner is None else _FOUND_LASTS_S))
        return owner
