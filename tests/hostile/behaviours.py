"""What a hostile receiver does after it has the request: one function per fault, by name (F16 and more)."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Behaviour = Callable[[Reader, Writer], Awaitable[None]]

DRIP_S = 0.05
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_BOMB = gzip.compress(bytes(1 << 24), 9)


def answer(status: int, *headers: str, body: bytes = b"") -> Behaviour:
    """Answer in full."""
    lines = [f"HTTP/1.1 {status} Said", *headers, f"Content-Length: {len(body)}"]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(response: bytes) -> Behaviour:
    """Write these bytes and close."""

    async def write(_: Reader, writer: Writer) -> None:
        writer.write(response)
        await writer.drain()

    return write


def drip(start: bytes) -> Behaviour:
    """Write a byte now and then, for ever: each in time, the whole never."""

    async def write(_: Reader, writer: Writer) -> None:
        writer.write(start)
        while True:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(DRIP_S)

    return write


def flood(start: bytes, part: bytes) -> Behaviour:
    """Write the same part as fast as it is taken, for ever."""

    async def write(_: Reader, writer: Writer) -> None:
        writer.write(start)
        while True:
            writer.write(part)
            await writer.drain()

    return write


async def hang(reader: Reader, _: Writer) -> None:
    """Take the request and say nothing."""
    await reader.read()


async def reset(_: Reader, writer: Writer) -> None:
    """Cut the answer in its middle with a reset."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def half_close(reader: Reader, writer: Writer) -> None:
    """End our direction in the middle of an answer, and keep reading."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    writer.write_eof()
    await reader.read()


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_MANY = b"".join(b"X-%d: a\r\n" % number for number in range(1000))

# What ends as a failure without a status.
NO_ANSWER: dict[str, Behaviour] = {
    "hang": hang,
    "close": raw(b""),
    "no-http": raw(b"SSH-2.0-OpenSSH_9\r\n"),
    "http-0.9": raw(b"<html>hello</html>"),
    "bad-status": raw(b"HTTP/1.1 999999 OK\r\n\r\n"),
    "status-99": raw(b"HTTP/1.1 99 No\r\nContent-Length: 0\r\n\r\n"),
    "bad-header": raw(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
    "bare-line-feeds": raw(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    "bad-chunk": raw(_CHUNKED + b"zz\r\n"),
    "short-body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
    "two-lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "length-and-chunks": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "negative-length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
    "switching": raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
    "header-1-mb": raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n"),
    "headers-1000": raw(b"HTTP/1.1 200 OK\r\n" + _MANY + b"Content-Length: 0\r\n\r\n"),
    "headers-endless": flood(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100),
    "informational-endless": flood(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10),
    "drip-status": drip(b""),
    "drip-headers": drip(b"HTTP/1.1 200 OK\r\nX-"),
    "drip-body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"),
    "reset": reset,
    "half-close": half_close,
}

# What ends with a status, whatever comes with it.
ANSWERED: dict[str, tuple[int, Behaviour]] = {
    "plain": (200, answer(200)),
    "no-content": (204, raw(b"HTTP/1.1 204 Fine\r\n\r\n")),
    "no-content-with-body": (204, raw(b"HTTP/1.1 204 Fine\r\nContent-Length: 5\r\n\r\nhello")),
    "informational-first": (200, raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n" + OK)),
    "until-it-closes": (200, raw(b"HTTP/1.1 200 OK\r\n\r\nall there is")),
    "http-1.0": (200, raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")),
    "two-answers": (200, raw(OK + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")),
    "body-endless": (200, flood(_CHUNKED, b"2000\r\n" + b"\x00" * 0x2000 + b"\r\n")),
    "chunk-extension-endless": (200, flood(_CHUNKED + b"1;", b"x" * 1000)),
    "gzip-bomb": (200, answer(200, "Content-Encoding: gzip", body=_BOMB)),
    "redirect-to-metadata": (307, answer(307, "Location: http://169.254.169.254/latest/meta-data/")),
    "redirect-home": (301, answer(301, "Location: /plain")),
    "cookie": (200, answer(200, "Set-Cookie: a=b; Path=/")),
    "unauthorized": (401, answer(401, "WWW-Authenticate: Basic")),
    "status-600": (600, answer(600)),
}
