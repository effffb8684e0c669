"""The secrets an endpoint's deliveries are signed with, opened once and kept only in memory."""

from datetime import datetime

import structlog

from schemas.catalog import Endpoint
from schemas.errors import ConfigurationError
from schemas.sealing import open_sealed
from schemas.settings import Settings

log = structlog.get_logger()

_OPENED_MAX = 20_000


class Secrets:
    """Opens sealed secrets. Opening costs more than signing, so what was opened is remembered."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.secret_key
        self._opened: dict[str, str] = {}

    def of(self, endpoint: Endpoint, now: datetime | None = None) -> list[str]:
        """Return the live secrets, newest first; empty if one of them cannot be opened.

        With `now`, a former secret whose time is over is left out even if the catalog is late to forget it.
        """
        until = endpoint.former_secret_until
        is_over = now is not None and until is not None and until <= now
        try:
            return [self._open(sealed) for sealed in endpoint.sealed_secrets[: 1 if is_over else None]]
        except ConfigurationError as error:
            log.error("webhook.secret_not_opened", endpoint=endpoint.id, error=str(error))  # noqa: TRY400
            return []

    def _open(self, sealed: str) -> str:
        opened = self._opened.get(sealed)
        if opened is None:
            opened = open_sealed(sealed, self._key.get_secret_value())
            if len(self._opened) >= _OPENED_MAX:
                self._opened.clear()
            self._opened[sealed] = opened
        return opened
