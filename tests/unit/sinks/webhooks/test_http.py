"""One attempt against a hostile server on loopback: bounded in time and size, never redirected, never private."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from sinks.webhooks import connecting
from sinks.webhooks.connecting import Network
from sinks.webhooks.http import EndpointClient, tls_context
from sinks.webhooks.state import Answer

TIMEOUT_S = 0.4
TLS = tls_context()

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve raw connections on a free port and yield the URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await handler(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def post(url: str, *, allow_private: bool = True) -> tuple[Answer, float]:
    """Return the answer and the seconds it took."""
    with ThreadPoolExecutor(1) as threads:
        client = EndpointClient(Network(TLS, threads, TIMEOUT_S, 4, allow_private))
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            answer = await client.post(url, b"{}", {"Content-Type": "application/json"})
            return answer, loop.time() - started_s
        finally:
            await client.close()


def raw(response: bytes) -> Handler:
    """Return a handler that answers these bytes."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response)

    return answer


async def test_an_answer_brings_its_status_and_retry_after() -> None:
    """Both are what the schedule needs."""
    async with serving(raw(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")) as url:
        answer, _ = await post(url)
    assert (answer.status, answer.retry_after, answer.error) == (503, "7", None)


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    """Not even to where it would be allowed."""
    asked = 0

    async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    async with serving(redirect) as url:
        answer, _ = await post(url)
    assert (answer.status, asked) == (307, 1)


async def test_silence_ends_at_the_deadline() -> None:
    """A server that takes the request and says nothing."""

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(hang) as url:
        answer, took_s = await post(url)
    assert answer.status is None
    assert "within 0.4 s" in (answer.error or "")
    assert took_s < 5 * TIMEOUT_S


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"], ids=["in the headers", "in the body"]
)
async def test_a_trickle_ends_at_the_deadline(start: bytes) -> None:
    """Each byte is in time, the whole is not: a time-out per read would wait for hours."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(TIMEOUT_S / 8)

    async with serving(drip) as url:
        answer, took_s = await post(url)
    assert answer.status is None
    assert took_s < 5 * TIMEOUT_S


async def test_an_endless_body_is_cut_and_its_status_counts() -> None:
    """16 kB are read, then the connection is given up."""
    written = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n")
        while True:
            writer.write(b"2000\r\n" + b"\x00" * 0x2000 + b"\r\n")
            written += 0x2000
            await writer.drain()

    async with serving(flood) as url:
        answer, _ = await post(url)
    assert answer.status == 200
    assert written < 64 << 20


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
    ],
    ids=["hang up", "no http", "short body", "bad chunk", "bad status", "1 MB header"],
)
async def test_a_broken_answer_is_a_failure_with_a_reason(response: bytes) -> None:
    """Whatever a server says, the attempt ends as a value."""
    async with serving(raw(response)) as url:
        answer, _ = await post(url)
    assert answer.status is None
    assert answer.error


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "http://[", "nonsense", "http://\x00/"])
async def test_an_endpoint_that_cannot_be_reached_is_a_failure_with_a_reason(url: str) -> None:
    """Closed ports and broken URLs."""
    answer, _ = await post(url)
    assert answer.status is None
    assert answer.error


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",  # noqa: S104 -- a target, not a bind
        "[::]",
        "169.254.169.254",
        "[fe80::1%25lo]",
        "[fd00:ec2::254]",
        "100.64.0.1",
        "10.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
async def test_no_spelling_of_an_inner_address_is_connected_to(host: str) -> None:
    """The check is on the resolved address, at connect time."""
    answer, _ = await post(f"https://{host}/", allow_private=False)
    assert answer.status is None
    assert re.search("not public|not resolved|cannot be read|Invalid IPv4|InvalidUrl", answer.error or ""), answer


async def test_one_private_answer_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name must not get a second chance through its other addresses."""
    answers = [(socket.AF_INET, 1, 6, "", ("8.8.8.8", 443)), (socket.AF_INET, 1, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    answer, _ = await post("https://example.org/", allow_private=False)
    assert "not public" in (answer.error or "")


async def test_a_name_that_changes_between_look_and_connect_is_caught_at_the_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rebinding: even if a checked answer were replaced, the socket for a private address is refused."""

    async def rebound(*_: object) -> list[tuple[int, tuple[str, int]]]:
        return [(socket.AF_INET, ("127.0.0.1", 443))]

    monkeypatch.setattr(connecting, "resolve", rebound)
    answer, _ = await post("https://example.org/", allow_private=False)
    assert "not public" in (answer.error or "")


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://example.org/", "must be https"),
        ("https://user:word@example.org/", "user name"),
        ("https://example.org:22/", "443 or 8443"),
        ("https://example.org:99999/", "cannot be read"),
        ("https:///nothing", "host name"),
        ("https://exa mple.org/", "visible ASCII"),
        ("https://example.org/\r\nX: y", "visible ASCII"),
    ],
)
async def test_without_the_development_switch_only_plain_https_is_tried(url: str, fault: str) -> None:
    """Refused before anything is resolved."""
    answer, _ = await post(url, allow_private=False)
    assert fault in (answer.error or "")


async def test_proxy_variables_are_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would make the address check worthless."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(raw(b"HTTP/1.1 204 Fine\r\n\r\n")) as url:
        answer, _ = await post(url)
    assert answer.status == 204


async def test_a_resolver_that_is_away_is_our_fault_and_an_unknown_name_is_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the second is charged as an attempt."""

    def failing(code: int) -> Callable[..., list[object]]:
        def resolve(*_: object, **__: object) -> list[object]:
            raise socket.gaierror(code, "no answer")

        return resolve

    monkeypatch.setattr(socket, "getaddrinfo", failing(socket.EAI_AGAIN))
    ours, _ = await post("https://example.org/", allow_private=False)
    monkeypatch.setattr(socket, "getaddrinfo", failing(socket.EAI_NONAME))
    theirs, _ = await post("https://example.org/", allow_private=False)
    assert (ours.is_ours, theirs.is_ours) == (True, False)


async def test_an_error_names_no_path_of_the_url() -> None:
    """Paths carry tokens; errors are shown and stored."""
    async with serving(raw(b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n")) as url:
        answer, _ = await post(url + "/t0ken?key=t0ken")
    assert answer.error
    assert "t0ken" not in answer.error


async def test_an_informational_flood_ends_at_the_deadline() -> None:
    """Answers of class 1xx go before the answer, but not for ever."""

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10)
            await writer.drain()
            await asyncio.sleep(TIMEOUT_S / 20)

    async with serving(flood) as url:
        answer, took_s = await post(url)
    assert answer.status is None
    assert took_s < 5 * TIMEOUT_S


async def test_many_small_headers_are_too_many() -> None:
    """Their number is limited as well as their size."""
    many = b"".join(b"X-%d: a\r\n" % number for number in range(1000))
    async with serving(raw(b"HTTP/1.1 200 OK\r\n" + many + b"Content-Length: 0\r\n\r\n")) as url:
        answer, _ = await post(url)
    assert answer.status is None
    assert answer.error
