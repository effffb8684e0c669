"""One attempt against a hostile server on loopback: bounded in time and size, never redirected, never private."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sinks.webhooks import connecting
from sinks.webhooks.connecting import Network
from sinks.webhooks.http import EndpointClient, tls_context
from sinks.webhooks.state import Answer
from tests.hostile.behaviours import ANSWERED, NO_ANSWER, answer, raw
from tests.hostile.server import Hostile, hostile

TIMEOUT_S = 0.5
LATE_S = 5.0  # how long after its deadline an attempt may end on a busy machine
TLS = tls_context()


@pytest.fixture(scope="module")
def server() -> Iterator[Hostile]:
    """Return the hostile server."""
    with hostile() as server:
        yield server


def network(threads: ThreadPoolExecutor, *, allow_private: bool = True) -> Network:
    """Return what endpoints share."""
    return Network(TLS, threads, TIMEOUT_S, allow_private)


async def post(url: str, *, allow_private: bool = True) -> tuple[Answer, float]:
    """Return the answer and the seconds it took."""
    with ThreadPoolExecutor(1) as threads:
        client = EndpointClient(network(threads, allow_private=allow_private))
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            found = await client.post(url, b"{}", {"Content-Type": "application/json"})
            return found, loop.time() - started_s
        finally:
            await client.close()


@pytest.mark.parametrize("name", NO_ANSWER)
async def test_whatever_a_server_does_the_attempt_ends_in_time_as_a_failure_with_a_reason(
    name: str, server: Hostile
) -> None:
    """F16: hang, drip, floods, broken HTTP, cut connections."""
    found, took_s = await post(server.url(f"/{name}/t0ken?key=t0ken"))
    assert found.status is None
    assert found.error
    assert "t0ken" not in found.error  # paths carry tokens; errors are shown and stored
    assert not found.is_ours
    assert took_s < TIMEOUT_S + LATE_S


@pytest.mark.parametrize("name", ANSWERED)
async def test_the_status_counts_whatever_comes_with_it(name: str, server: Hostile) -> None:
    """F16: endless and bombed bodies are cut, redirects are answers, cookies are forgotten."""
    asked = len(server.came)
    found, took_s = await post(server.url(f"/{name}"))
    assert (found.status, found.error) == (ANSWERED[name][0], None)
    assert len(server.came) == asked + 1
    assert took_s < TIMEOUT_S + LATE_S


async def test_an_answer_brings_its_retry_after(server: Hostile) -> None:
    """The schedule needs it."""
    server.script("/busy", answer(503, "Retry-After: 7"))
    found, _ = await post(server.url("/busy"))
    assert (found.status, found.retry_after, found.error) == (503, "7", None)


async def test_one_connection_serves_many_requests_and_is_not_used_again_after_anything_odd(server: Hostile) -> None:
    """A second answer, an answer nobody waits for, or HTTP/1.0 end it."""
    before = server.connections
    with ThreadPoolExecutor(1) as threads:
        client = EndpointClient(network(threads))
        for _ in range(5):
            assert (await client.post(server.url("/good"), b"{}", {})).status == 200
        assert server.connections == before + 1
        for path in ("/two-answers", "/http-1.0", "/body-endless", "/two-answers"):
            assert (await client.post(server.url(path), b"{}", {})).status == 200
        assert server.connections == before + 5
        await client.close()


async def test_another_url_gets_other_connections(server: Hostile) -> None:
    """A mended URL takes effect at the next attempt; what still runs to the old one ends well."""
    with ThreadPoolExecutor(1) as threads:
        client = EndpointClient(network(threads))
        first = asyncio.create_task(client.post(server.url("/hang"), b"{}", {}))
        second = await client.post(server.url("/good"), b"{}", {})
        assert second.status == 200
        assert (await first).status is None
        await client.close()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "é", "\ud800"])
async def test_a_header_that_would_break_its_line_is_not_sent(value: str, server: Hostile) -> None:
    """Ids and types come from events."""
    asked = len(server.came)
    with ThreadPoolExecutor(1) as threads:
        client = EndpointClient(network(threads))
        found = await client.post(server.url("/good"), b"{}", {"X-Fusion-Event": value})
        await client.close()
    assert found.status is None
    assert found.error
    assert len(server.came) == asked


async def test_a_request_is_what_http_says(server: Hostile) -> None:
    """Length and host once, no header beyond ours."""
    found, _ = await post(server.url("/good/request?a=b%20c"))
    assert found.status == 200
    (came,) = server.on("/good/request?a=b%20c")
    assert came.headers == {
        "host": f"127.0.0.1:{server.port}",
        "content-type": "application/json",
        "content-length": "2",
    }
    assert came.body == b"{}"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "http://[", "nonsense", "http://\x00/"])
async def test_an_endpoint_that_cannot_be_reached_is_a_failure_with_a_reason(url: str) -> None:
    """Closed ports and broken URLs."""
    found, _ = await post(url)
    assert found.status is None
    assert found.error


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
    found, _ = await post(f"https://{host}/", allow_private=False)
    assert found.status is None
    assert re.search("not public|not resolved|cannot be read|Invalid IPv4|InvalidUrl", found.error or ""), found


async def test_one_private_answer_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name must not get a second chance through its other addresses."""
    answers = [(socket.AF_INET, 1, 6, "", ("8.8.8.8", 443)), (socket.AF_INET, 1, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    found, _ = await post("https://example.org/", allow_private=False)
    assert "not public" in (found.error or "")


async def test_a_name_that_changes_between_look_and_connect_is_caught_at_the_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rebinding: even if a checked answer were replaced, the socket for a private address is refused."""

    async def rebound(*_: object) -> list[tuple[int, tuple[str, int]]]:
        return [(socket.AF_INET, ("127.0.0.1", 443))]

    monkeypatch.setattr(connecting, "resolve", rebound)
    found, _ = await post("https://example.org/", allow_private=False)
    assert "not public" in (found.error or "")


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
    found, _ = await post(url, allow_private=False)
    assert fault in (found.error or "")


async def test_proxy_variables_are_not_obeyed(monkeypatch: pytest.MonkeyPatch, server: Hostile) -> None:
    """A proxy would make the address check worthless."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.script("/fine", raw(b"HTTP/1.1 204 Fine\r\n\r\n"))
    found, _ = await post(server.url("/fine"))
    assert found.status == 204


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
