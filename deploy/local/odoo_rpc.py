"""Any public method of Odoo as an administrator, for setting a database up and for tests.

The pipeline itself goes through `deploy.adapters.odoo`, which knows only keyword calls of our addon.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import Any

import odoorpc

from deploy.local.ports import HOST, accepts

_HEALTH = "/web/health?db_server_status=1"
_TIMEOUT_S = 60


def is_healthy(port: int) -> bool:
    """True when the Odoo server on the port says that it and its database server are well."""
    return accepts(port) and http_status(port, _HEALTH) == http.HTTPStatus.OK


def http_status(port: int, path: str, timeout_s: float = 2.0) -> int | None:
    """The status of a GET on the loopback address, None when there was no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@dataclass(slots=True)
class OdooSession:
    """One user of one database; logs in at the first call. Not for use by several threads."""

    port: int
    database: str
    login: str
    password: str
    _connection: odoorpc.ODOO | None = None

    def call(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """What the method returns; for methods of records the first argument is their ids."""
        return self._connected().execute_kw(model, method, list(args), kwargs)

    def id_of(self, xml_id: str) -> int:
        """The database id of a record with an external id, `module.name`."""
        module, _, name = xml_id.partition(".")
        where = [["module", "=", module], ["name", "=", name]]
        [found] = self.call("ir.model.data", "search_read", where, ["res_id"])
        return int(found["res_id"])

    def may_log_in(self) -> bool:
        """True when the database knows the user with this password."""
        try:
            self._connected()
        except odoorpc.error.RPCError:
            return False
        return True

    def _connected(self) -> odoorpc.ODOO:
        if self._connection is None:
            # Naming the version skips a detection that costs a call.
            connection = odoorpc.ODOO(HOST, port=self.port, timeout=_TIMEOUT_S, version="19.0")
            connection.login(self.database, self.login, self.password)
            self._connection = connection
        return self._connection
