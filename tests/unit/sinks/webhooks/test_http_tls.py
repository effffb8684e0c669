"""Hostile TLS (F16)."""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from sinks.webhooks.connecting import Network
from sinks.webhooks.http import EndpointClient, tls_context
from sinks.webhooks.state import Answer
from tests.hostile.certificates import certificate
from tests.hostile.server import hostile

TIMEOUT_S = 2.0
LATE_S = 5.0  # how long after its deadline an attempt may end on a busy machine


async def post(url: str, tls: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S) -> tuple[Answer, float]:
    """Return the answer and the seconds it took."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        network = Network(tls or tls_context(), threads, timeout_s, allow_private=True)
        client = EndpointClient(network)
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
    with hostile(certificate(tmp_path, name, expires)) as server:
        found, _ = await post(server.url("/hook", "localhost"))
    assert found.status is None
    assert "certificate verify failed" in (found.error or ""), found
    assert not found.is_ours
    assert server.came == []


@pytest.mark.parametrize(
    ("name", "expires", "reaches"),
    [("localhost", 9, True), ("other.example", 9, False), ("localhost", -1, False)],
    ids=["good", "another name", "expired"],
)
async def test_a_trusted_issuer_alone_is_not_enough(tmp_path: Path, name: str, expires: int, reaches: bool) -> None:
    """Name and time are checked as well; a certificate with nothing wrong does get the delivery."""
    theirs = certificate(tmp_path, name, timedelta(days=expires))
    ours = ssl.create_default_context(cafile=str(tmp_path / f"{name}.pem"))
    with hostile(theirs) as server:
        found, _ = await post(server.url("/hook", "localhost"), ours, timeout_s=30)
    assert (found.status == 200, len(server.came) == 1) == (reaches, reaches), found


async def test_a_handshake_that_never_ends_ends_at_the_deadline() -> None:
    """A stalled handshake counts against the one deadline."""
    with hostile(shakes_hands=False) as server:
        found, took_s = await post(server.url("/hook", "localhost"))
    assert found.status is None
    assert took_s < TIMEOUT_S + LATE_S


async def test_https_against_plain_http_is_a_failure() -> None:
    """The server answers a handshake with text, or hangs up."""
    with hostile() as server:
        found, _ = await post(f"https://localhost:{server.port}/hook")
    assert found.status is None
    assert found.error


async def test_http_against_tls_is_a_failure(tmp_path: Path) -> None:
    """And the reverse."""
    with hostile(certificate(tmp_path, "localhost")) as server:
        found, _ = await post(f"http://localhost:{server.port}/hook")
    assert found.status is None
    assert found.error
