"""One HTTP attempt, bounded in time and size: the sinks' only use of httpx, and of aiohttp below it.

httpx's own pool costs 0.6 ms of CPU per request here, aiohttp's connections below httpx's types a third of that
(docs/webhooks.md); a transport without a client around it lets no redirect, cookie, netrc, proxy or retry slip in.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from sinks.webhooks.addresses import is_public
from sinks.webhooks.state import Answer
from sinks.webhooks.targets import fault_of

_ANSWER_BYTES_MAX = 16 * 1024
_HEADERS_MAX = 64
_HEADER_BYTES_MAX = 4 * 1024
_CONNECT_TIMEOUT_S = 5.0
# Shorter than what common servers use (5 s), so that we rarely send into a connection that is just being closed.
_KEEPALIVE_S = 4.0
_OUR_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENETDOWN, errno.ENETUNREACH, errno.EADDRNOTAVAIL}
)
_ERROR_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Network:
    """What all endpoints share: certificates, the threads that resolve names, the limits of one attempt."""

    tls: ssl.SSLContext
    resolver_threads: Executor
    timeout_s: float
    in_flight_max: int
    allow_private: bool


class EndpointClient:
    """Sends to one endpoint over its own few connections, so that a hanging one takes none from another."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._transport = _Transport(network)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return what the endpoint answered within the deadline, connect to last byte; never raises for a failure."""
        fault = fault_of(url, allow_private=self._network.allow_private)
        if fault is not None:
            return Answer(error=fault)
        try:
            async with asyncio.timeout(self._network.timeout_s):
                # A stream instead of content: httpx then adds no headers of its own, which costs a third of it all.
                request = httpx.Request("POST", _parsed(url), headers=headers, stream=httpx.ByteStream(body))
                response = await self._transport.handle_async_request(request)
        except TimeoutError:
            return Answer(error=f"no complete answer within {self._network.timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(error=str(error), is_ours=isinstance(error, OurFault))
        return Answer(response.status_code, response.headers.get("retry-after"))

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


class _Transport(httpx.AsyncBaseTransport):
    """httpx's requests over aiohttp's connections. Of the answer only the status and Retry-After are kept.

    Raises OurFault for what the endpoint cannot help, another httpx.TransportError for what it can.
    """

    def __init__(self, network: Network) -> None:
        allow_private = network.allow_private
        connector = aiohttp.TCPConnector(
            limit=network.in_flight_max,
            keepalive_timeout=_KEEPALIVE_S,
            ssl=network.tls,
            resolver=Resolver(network.resolver_threads, allow_private=allow_private),
            socket_factory=None if allow_private else public_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_ANSWER_BYTES_MAX // 2,
            max_line_size=_HEADER_BYTES_MAX,
            max_field_size=_HEADER_BYTES_MAX,
            max_headers=_HEADERS_MAX,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer once its body was read, or cut off at its limit."""
        headers = {name.decode(): value.decode() for name, value in request.headers.raw}
        body = b"".join([part async for part in cast("httpx.AsyncByteStream", request.stream)])
        try:
            async with self._session.request(
                request.method, _encoded(request.url), data=body, headers=headers, allow_redirects=False
            ) as answer:
                size_bytes = 0
                while chunk := await answer.content.readany():
                    # Read, so that the connection can be used again; an endless body costs the connection instead.
                    size_bytes += len(chunk)
                    if size_bytes > _ANSWER_BYTES_MAX:
                        answer.close()
                        break
                retry_after = answer.headers.get("retry-after")
                kept = {"retry-after": retry_after} if retry_after else None
                return httpx.Response(answer.status, headers=kept, stream=_NO_BODY)
        except TimeoutError as error:
            raise httpx.ConnectError(f"no connection within {_CONNECT_TIMEOUT_S:g} s") from error
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


class _NoBody(httpx.AsyncByteStream):
    """The body of an answer whose body was read and dropped."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield nothing."""
        parts: tuple[bytes, ...] = ()
        for part in parts:
            yield part


_NO_BODY = _NoBody()


class Resolver(AbstractResolver):
    """Resolves a name once, for one connect; any answer that is not public refuses the name as a whole.

    A check of the URL alone could be outwitted by a name that resolves anew (DNS rebinding).
    """

    def __init__(self, threads: Executor, *, allow_private: bool) -> None:
        self._threads = threads
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`; OSError if there are none, or one that may not be reached."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        )
        addresses = dict.fromkeys((entry[0], str(entry[4][0])) for entry in found)
        if not self._allow_private and not all(is_public(address) for _, address in addresses):
            raise NotPublic
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=0, flags=int(socket.AI_NUMERICHOST)
            )
            for kind, address in addresses
        ]

    async def close(self) -> None:
        """Nothing to close: the threads are shared."""


class OurFault(httpx.TransportError):
    """The attempt failed on our side: no name service, no network, no sockets left."""


class NotPublic(OSError):
    """The address is not one that webhooks may reach."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the endpoint's name leads to an address that is not public")


def public_socket(address: tuple[Any, Any, int, str, Sequence[Any]]) -> socket.socket:
    """Return a socket for the address that is about to be connected to, literals included; or raise NotPublic."""
    family, kind, protocol, _, target = address
    if not is_public(str(target[0])):
        raise NotPublic
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made


def tls_context() -> ssl.SSLContext:
    """Return one context for all endpoints: each costs milliseconds and a copy of the certificate bundle."""
    return httpx.create_ssl_context(trust_env=False)


@lru_cache(maxsize=10_000)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


@lru_cache(maxsize=10_000)
def _encoded(url: httpx.URL) -> URL:
    return URL(str(url), encoded=True)


def _translated(error: Exception) -> httpx.TransportError:
    """Return what an error says, without the URL, which may carry a receiver's token."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, socket.gaierror):
        text = f"the endpoint's name was not resolved: {cause.strerror}"
        # "Try again" is what a resolver of ours that is away looks like; "no such name" is theirs.
        return OurFault(text) if cause.errno == socket.EAI_AGAIN else httpx.ConnectError(text)
    if isinstance(cause, OSError) and cause.errno in _OUR_ERRNOS:
        return OurFault(f"{type(cause).__name__}: {cause.strerror}")
    detail = cause.strerror if isinstance(cause, OSError) else getattr(error, "message", None)
    text = type(error).__name__ + (f": {str(detail)[:_ERROR_CHARACTERS_MAX]}" if detail else "")
    return httpx.RemoteProtocolError(text)
