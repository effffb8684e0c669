"""Hostile TLS and connections that are cut (F16)."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sinks.webhooks.connecting import Network
from sinks.webhooks.http import EndpointClient, tls_context
from sinks.webhooks.state import Answer

TIMEOUT_S = 0.6

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def certificate(folder: Path, name: str, expires: timedelta) -> ssl.SSLContext:
    """Return a server's context with a self-signed certificate for `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + expires)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = folder / f"{name}.pem"
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


async def answer_200(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Behave."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Accept, and never shake hands."""
    await reader.read()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Cut the answer in the middle with a reset."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a free port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def post(url: str) -> tuple[Answer, float]:
    """Return the answer and the seconds it took."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        client = EndpointClient(Network(tls_context(), threads, TIMEOUT_S, 4, allow_private=True))
        started_s = loop.time()
        try:
            return await client.post(url, b"{}", {}), loop.time() - started_s
        finally:
            await client.close()


@pytest.mark.parametrize(
    ("name", "expires"),
    [("localhost", timedelta(days=9)), ("localhost", timedelta(days=-1)), ("other.example", timedelta(days=9))],
    ids=["self-signed", "expired", "another name"],
)
async def test_a_certificate_that_proves_nothing_gets_no_delivery(
    tmp_path: Path, name: str, expires: timedelta
) -> None:
    """Nothing is sent before the certificate is checked."""
    asked = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await answer_200(reader, writer)

    async with serving(count, certificate(tmp_path, name, expires)) as port:
        answer, _ = await post(f"https://localhost:{port}/hook")
    assert answer.status is None
    assert "certificate verify failed" in (answer.error or ""), answer
    assert not answer.is_ours


async def test_a_handshake_that_never_ends_ends_at_the_deadline() -> None:
    """A stalled handshake counts against the one deadline."""
    async with serving(say_nothing) as port:
        answer, took_s = await post(f"https://localhost:{port}/hook")
    assert answer.status is None
    assert took_s < 5 * TIMEOUT_S


async def test_https_against_plain_http_is_a_failure() -> None:
    """And so is the reverse."""
    async with serving(answer_200) as port:
        answer, _ = await post(f"https://localhost:{port}/hook")
    assert answer.status is None
    assert answer.error


async def test_a_reset_in_the_middle_of_an_answer_is_a_failure() -> None:
    """Whatever its status said: what follows it was not to be read."""
    async with serving(reset) as port:
        answer, _ = await post(f"http://localhost:{port}/hook")
    assert answer.status is None
    assert answer.error
