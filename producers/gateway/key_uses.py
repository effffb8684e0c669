"""When each API key was last used, told to Odoo every few minutes: so a person sees whether a former key can go."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from schemas.errors import OdooRefused, OdooUnavailable
from schemas.odoo_rpc import KeyUse, OdooBilling, OdooTransport
from schemas.periods import format_instant

_log = structlog.get_logger("fusion.gateway")

_TELL_EVERY_S = 120.0
_ROWS_MAX = 500  # of a call


class KeyUses:
    """The last use per key. There are as many as keys in the catalog; a restart forgets at most the last minutes."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._used: dict[str, float] = {}

    def note(self, key_hash: str) -> None:
        """The key was used just now."""
        self._used[key_hash] = self._now_s()

    def tell(self, odoo: OdooBilling) -> None:
        """Tell Odoo what was noted since the last time; if that fails, the next time tells it."""
        used = dict(list(self._used.items())[:_ROWS_MAX])
        if not used:
            return
        odoo.note_key_uses(
            [
                KeyUse(key_hash=key_hash, used_at=format_instant(datetime.fromtimestamp(at_s, UTC)))
                for key_hash, at_s in used.items()
            ]
        )
        for key_hash, at_s in used.items():
            if self._used.get(key_hash) == at_s:
                del self._used[key_hash]


class KeyUseTeller:
    """The thread that tells Odoo, on a connection of its own, so that it takes no request's place."""

    def __init__(
        self, uses: KeyUses, connect_odoo: Callable[[], OdooTransport], every_s: float = _TELL_EVERY_S
    ) -> None:
        self._uses = uses
        self._connect_odoo = connect_odoo
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="key-uses", daemon=True)

    def start(self) -> None:
        """Begin; the first word goes out after one interval."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what is not told yet is forgotten."""
        self._stop.set()

    def _work(self) -> None:
        odoo: OdooBilling | None = None
        while not self._stop.wait(self._every_s):
            try:
                odoo = odoo or OdooBilling(self._connect_odoo())
                self._uses.tell(odoo)
            except (OdooUnavailable, OdooRefused) as error:
                odoo = None
                _log.warning("gateway.key_uses_put_off", error=str(error)[:500])
