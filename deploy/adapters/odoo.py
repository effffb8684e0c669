"""The roles' way to Odoo: keyword calls of public methods over odoorpc, errors sorted into retry and refuse."""

import http.client
import json
import urllib.error
from typing import Any
from urllib.parse import urlsplit

import odoorpc

from schemas.errors import OdooRefused, OdooUnavailable
from schemas.settings import Settings

_RETRY_AFTER_S = 2.0

# Odoo's word for "somebody else was faster"; the same call may win the next time.
_CONFLICTS = ("odoo.exceptions.LockError", "odoo.exceptions.ConcurrencyError")
_CONFLICT_MODULES = ("psycopg2.",)


class OdooRpcTransport:
    """`schemas.odoo_rpc.OdooTransport` over odoorpc. Logs in at the first call and again after a failure.

    Not thread-safe (odoorpc keeps one mutable context per connection): make one per thread.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: odoorpc.ODOO | None = None

    def call(self, model: str, method: str, kwargs: dict[str, Any]) -> Any:
        """Call a public method by keywords; see `OdooTransport.call`."""
        try:
            return self._connected().execute_kw(model, method, [], kwargs)
        except odoorpc.error.RPCError as error:
            raise _sorted(error) from error
        except odoorpc.error.InternalError as error:
            raise OdooUnavailable(f"Odoo connection: {error}", _RETRY_AFTER_S) from error
        except (OSError, urllib.error.URLError, http.client.HTTPException, json.JSONDecodeError) as error:
            # A time-out does not say whether Odoo committed; all our calls are idempotent, so the caller repeats.
            self._connection = None
            raise OdooUnavailable(f"Odoo at {self._settings.odoo_url}: {error}", _RETRY_AFTER_S) from error

    def _connected(self) -> odoorpc.ODOO:
        if self._connection is None:
            url = urlsplit(self._settings.odoo_url)
            secure = url.scheme == "https"
            connection = odoorpc.ODOO(
                url.hostname,
                protocol="jsonrpc+ssl" if secure else "jsonrpc",
                port=url.port or (443 if secure else 80),
                timeout=self._settings.odoo_timeout_s,
                version="19.0",  # skips the detection, which cannot read "saas~" versions
            )
            password = self._settings.odoo_password.get_secret_value()
            connection.login(self._settings.odoo_db, self._settings.odoo_login, password)
            self._connection = connection
        return self._connection


def _sorted(error: odoorpc.error.RPCError) -> Exception:
    """Return the error as one to retry or one to report; decided by class name, never by its translated text."""
    data = (error.info or {}).get("data", {}) if isinstance(error.info, dict) else {}
    name = str(data.get("name") or type(error).__name__)
    message = str(data.get("message") or error)
    if name in _CONFLICTS or name.startswith(_CONFLICT_MODULES):
        return OdooUnavailable(f"{name}: {message}", _RETRY_AFTER_S)
    return OdooRefused(name, message)
