"""Calls to Odoo from the event loop: a few threads, each with its own connection, and a bounded queue."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from schemas.errors import OdooUnavailable
from schemas.odoo_rpc import OdooBilling, OdooTransport

Answer = TypeVar("Answer")
TransportFactory = Callable[[], OdooTransport]
"""Connects to Odoo; raises OdooUnavailable when it is away."""

_THREADS = 4
_WAITING_MAX = 32


class OdooCalls:
    """Runs calls of `OdooBilling` in threads; a transport is made per thread at its first call and after a failure."""

    def __init__(self, connect: TransportFactory) -> None:
        self._connect = connect
        self._local = threading.local()
        self._waiting = 0
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="odoo")

    async def call(self, ask: Callable[[OdooBilling], Answer]) -> Answer:
        """Return what `ask` gets from Odoo.

        Raises:
            OdooUnavailable: Odoo is away, or so slow that too many calls wait already.
            OdooRefused: Odoo said no to the call as a whole.
        """
        if self._waiting >= _WAITING_MAX:
            raise OdooUnavailable("too many requests wait for Odoo")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, ask)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Drop what waits; calls under way end with their own time-out."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, ask: Callable[[OdooBilling], Answer]) -> Answer:
        billing: OdooBilling | None = getattr(self._local, "billing", None)
        if billing is None:
            billing = self._local.billing = OdooBilling(self._connect())
        try:
            return ask(billing)
        except OdooUnavailable:
            self._local.billing = None
            raise
