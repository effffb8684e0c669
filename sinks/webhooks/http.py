"""One HTTP attempt, bounded in time and size: the sinks' only use of httpx and httpcore.

A transport is used without a client around it: no redirects, cookies, netrc, proxies or retries can slip in.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore
import httpx

from sinks.webhooks.addresses import is_public
from sinks.webhooks.state import Answer

IN_FLIGHT_MAX = 4
_ANSWER_BYTES_MAX = 16 * 1024
_CONNECT_TIMEOUT_S = 5.0
_KEEPALIVE_S = 30.0


class EndpointClient:
    """Sends to one endpoint over its own small pool, so that a hanging one takes no connection from another."""

    def __init__(self, tls: ssl.SSLContext, timeout_s: float, *, allow_private: bool) -> None:
        self._timeout_s = timeout_s
        self._allow_private = allow_private
        self._transport = _OwnPool(tls, allow_private=allow_private)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return what the endpoint answered within the deadline, connect to last byte; never raises for a failure."""
        if not self._allow_private and not url.startswith("https://"):
            return Answer(error="the endpoint's URL must be https")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(url, body, headers)
        except TimeoutError:
            return Answer(error=f"no complete answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, httpcore.UnsupportedProtocol, ssl.SSLError, OSError) as error:
            return Answer(error=_described(error))

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        timeouts = {"connect": _CONNECT_TIMEOUT_S, "read": None, "write": None, "pool": None}
        request = httpx.Request("POST", url, headers=headers, content=body, extensions={"timeout": timeouts})
        response = await self._transport.handle_async_request(request)
        try:
            size_bytes = 0
            async for chunk in response.aiter_raw():
                # Read, so that the connection can be used again; an endless body costs the connection instead.
                size_bytes += len(chunk)
                if size_bytes > _ANSWER_BYTES_MAX:
                    break
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers.get("retry-after"))


class _OwnPool(httpx.AsyncHTTPTransport):
    """httpx's transport over a pool whose connections pass the address check; httpx offers no argument for that."""

    def __init__(self, tls: ssl.SSLContext, *, allow_private: bool) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=IN_FLIGHT_MAX,
            max_keepalive_connections=IN_FLIGHT_MAX,
            keepalive_expiry=_KEEPALIVE_S,
            network_backend=httpcore.AnyIOBackend() if allow_private else PublicOnly(),
        )


class PublicOnly(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only: resolves once, checks every answer, connects to what was checked.

    A check of the URL alone could be outwitted by a name that resolves anew (DNS rebinding).
    """

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- the base class's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that answers; raise ConnectError if any of them is not public."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"name not resolved: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses or not all(is_public(address) for address in addresses):
            raise httpcore.ConnectError("the endpoint's name leads to an address that is not public")
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("no address")


def tls_context() -> ssl.SSLContext:
    """Return one context for all endpoints: each costs milliseconds and a copy of the certificate bundle."""
    return httpx.create_ssl_context(trust_env=False)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
