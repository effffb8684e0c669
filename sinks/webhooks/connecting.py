"""Opens connections, to addresses that were checked: names are resolved once, and the socket takes what was found.

A check of the URL alone could be outwitted by a name that resolves anew (DNS rebinding).
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from sinks.webhooks.addresses import is_public
from sinks.webhooks.connection import Connection

_CONNECT_TIMEOUT_S = 5.0
_ADDRESSES_MAX = 4
_OUR_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENETDOWN, errno.ENETUNREACH, errno.EADDRNOTAVAIL}
)

SocketAddress = tuple[Any, ...]


class NotPublic(OSError):
    """The address is not one that webhooks may reach."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the endpoint's name leads to an address that is not public")


@dataclass(frozen=True, slots=True)
class Network:
    """What all endpoints share: certificates, the threads that resolve names, the limits of one attempt."""

    tls: ssl.SSLContext
    resolver_threads: Executor
    timeout_s: float
    allow_private: bool


async def connect(network: Network, host: str, port: int, *, is_tls: bool) -> Connection:
    """Return a connection to the first address of `host` that takes one.

    Raises:
        OSError: none did; NotPublic if one may not be reached, ssl.SSLError if the certificate proves nothing.
    """
    addresses = await resolve(network, host, port)
    share_s = _CONNECT_TIMEOUT_S / len(addresses)
    errors: list[OSError] = []
    for family, address in addresses:
        try:
            plain = await _open(network, family, address, share_s)
        except OSError as error:
            errors.append(error)
            continue
        return await _start(network, plain, host if is_tls else None)
    # What the endpoint can help counts first: an IPv6 that we lack must not hide that its IPv4 refuses.
    raise next((error for error in errors if not is_ours(error)), errors[0])


async def resolve(network: Network, host: str, port: int) -> Sequence[tuple[int, SocketAddress]]:
    """Return the addresses of `host`, family and socket address each; any that is not public refuses them all."""
    try:
        found = await asyncio.get_running_loop().run_in_executor(
            network.resolver_threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
    except UnicodeError as error:  # an empty or endless label
        raise socket.gaierror(socket.EAI_NONAME, "it is no host name") from error
    addresses = list(dict.fromkeys((int(entry[0]), tuple(entry[4])) for entry in found))
    if not network.allow_private and not all(is_public(str(address[0])) for _, address in addresses):
        raise NotPublic
    return addresses[:_ADDRESSES_MAX]


def is_ours(error: OSError) -> bool:
    """Tell whether the endpoint cannot help it: no name service, no network, no sockets left."""
    if isinstance(error, socket.gaierror):
        # "Try again" is what a resolver of ours that is away looks like; "no such name" is theirs.
        return error.errno == socket.EAI_AGAIN
    return error.errno in _OUR_ERRNOS


async def _open(network: Network, family: int, address: SocketAddress, timeout_s: float) -> socket.socket:
    if not network.allow_private and not is_public(str(address[0])):
        raise NotPublic  # asked again of what is connected to, whoever resolved it
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(plain, address)
    except TimeoutError as error:
        plain.close()
        raise OSError(errno.ETIMEDOUT, f"no connection within {timeout_s:g} s") from error
    except BaseException:
        plain.close()
        raise
    return plain


async def _start(network: Network, plain: socket.socket, tls_host: str | None) -> Connection:
    tls: dict[str, Any] = {} if tls_host is None else {"ssl": network.tls, "server_hostname": tls_host}
    _, connection = await asyncio.get_running_loop().create_connection(Connection, sock=plain, **tls)
    return connection
