"""One HTTP attempt, bounded in time and size: the sinks' only use of httpx.

httpx's requests over connections of ours: its own pool costs 0.6 ms of CPU per request here (docs/webhooks.md), and
a transport without a client around it lets no redirect, cookie, netrc, proxy or retry slip in.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from typing import cast

import httpx

from sinks.webhooks.connecting import Network, connect, is_ours
from sinks.webhooks.connection import BrokenAnswer, Connection
from sinks.webhooks.state import Answer
from sinks.webhooks.targets import fault_of

# Shorter than what common servers use (5 s), so that we rarely send into a connection that is just being closed.
_KEEPALIVE_S = 4.0
_ERROR_CHARACTERS_MAX = 200
_NO_BODY = httpx.ByteStream(b"")
_PORTS = {"http": 80, "https": 443}


class EndpointClient:
    """Sends to one endpoint over its own few connections, so that a hanging one takes none from another."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._url = ""
        self._transport: _Transport | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return what the endpoint answered within the deadline, connect to last byte; never raises for a failure."""
        fault = fault_of(url, allow_private=self._network.allow_private)
        if fault is not None:
            return Answer(error=fault)
        try:
            async with asyncio.timeout(self._network.timeout_s):
                transport = await self._transport_to(url)
                # A stream instead of content: httpx then adds no headers of its own.
                request = httpx.Request("POST", transport.url, headers=headers, stream=httpx.ByteStream(body))
                response = await transport.handle_async_request(request)
        except TimeoutError:
            return Answer(error=f"no complete answer within {self._network.timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            return Answer(error=str(error), is_ours=isinstance(error, OurFault))
        return Answer(response.status_code, response.headers.get("retry-after"))

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()

    async def _transport_to(self, url: str) -> "_Transport":
        if self._transport is None or self._url != url:
            await self.close()
            self._url, self._transport = url, _Transport(self._network, httpx.URL(url))
        return self._transport


class OurFault(httpx.TransportError):
    """The attempt failed on our side: no name service, no network, no sockets left."""


class _Transport(httpx.AsyncBaseTransport):
    """httpx's requests to one URL over connections of ours. Of an answer only the status and Retry-After are kept.

    Raises OurFault for what the endpoint cannot help, another httpx.TransportError for what it can.
    """

    def __init__(self, network: Network, url: httpx.URL) -> None:
        self.url = url
        self._network = network
        self._start = b"POST %b HTTP/1.1\r\nHost: %b" % (url.raw_path, url.netloc)
        self._free: list[Connection] = []
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer once its body was read, or cut off at its limit."""
        serialised = self._serialised(request)
        try:
            connection = self._taken() or await self._opened()
            head = await connection.ask(serialised)
        except (OSError, BrokenAnswer) as error:
            raise _translated(error) from error
        if self._is_closed:
            connection.abort()
        elif connection.is_reusable:
            connection.free_since_s = time.monotonic()
            self._free.append(connection)
        kept = {"retry-after": head.retry_after} if head.retry_after else None
        return httpx.Response(head.status, headers=kept, stream=_NO_BODY)

    async def aclose(self) -> None:
        """Close the connections; those in use close after their answer."""
        self._is_closed = True
        while self._free:
            self._free.pop().abort()

    def _taken(self) -> Connection | None:
        oldest_s = time.monotonic() - _KEEPALIVE_S
        while self._free:
            connection = self._free.pop()
            if connection.is_reusable and connection.free_since_s > oldest_s:
                return connection
            connection.abort()  # the server has closed it, or is about to
        return None

    async def _opened(self) -> Connection:
        url = self.url
        return await connect(
            self._network, url.raw_host.decode(), url.port or _PORTS[url.scheme], is_tls=url.scheme == "https"
        )

    def _serialised(self, request: httpx.Request) -> bytes:
        body = b"".join(cast("httpx.ByteStream", request.stream))
        fields = [b"%b: %b" % field for field in request.headers.raw]
        head = b"\r\n".join([self._start, *fields, b"Content-Length: %d\r\n\r\n" % len(body)])
        if head.count(b"\n") != len(fields) + 4 or head.count(b"\r") != len(fields) + 4 or b"\0" in head:
            raise httpx.LocalProtocolError("a header holds a line end")
        return head + body


def tls_context() -> ssl.SSLContext:
    """Return one context for all endpoints: each costs milliseconds and a copy of the certificate bundle."""
    return httpx.create_ssl_context(trust_env=False)


def _translated(error: OSError | BrokenAnswer) -> httpx.TransportError:
    """Return what an error says, without the URL, which may carry a receiver's token."""
    if isinstance(error, BrokenAnswer):
        return httpx.RemoteProtocolError(str(error)[:_ERROR_CHARACTERS_MAX])
    detail = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        text = f"the endpoint's name was not resolved: {detail}"
    else:
        text = f"{type(error).__name__}: {detail}"[:_ERROR_CHARACTERS_MAX]
    return OurFault(text) if is_ours(error) else httpx.ConnectError(text)
