"""The proxy of the fault tests does to connections what its modes say."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from deploy.local.ports import HOST
from tests.hostile.proxy import DELAY_S, Mode, Proxy, proxy_to
from tests.stack.waiting import wait_until

SILENCE_S = 0.3


class Echo(ThreadingTCPServer):
    """Answers each line with itself and remembers it."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        self.heard: list[bytes] = []
        super().__init__((HOST, 0), EchoHandler)


class EchoHandler(StreamRequestHandler):
    """One connection."""

    server: Echo

    def handle(self) -> None:
        """Until the other side ends."""
        with contextlib.suppress(ConnectionResetError):
            for line in self.rfile:
                self.server.heard.append(line)
                self.wfile.write(line)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """Return a server."""
    with Echo() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    """Return a proxy in front of it."""
    with proxy_to(echo.server_address[1]) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    """Return a connection that has been answered once."""
    client = socket.create_connection((HOST, proxy.port), timeout=30)
    client.sendall(b"hello\n")
    assert client.recv(100) == b"hello\n"
    return client


@pytest.mark.parametrize("mode", [Mode.BLACK_HOLE, Mode.ONLY_REQUESTS, Mode.ONLY_ANSWERS])
def test_what_is_held_back_comes_when_the_network_is_well(echo: Echo, proxy: Proxy, mode: Mode) -> None:
    """No answer meanwhile; the request arrives if its direction is open."""
    with connect(proxy) as client:
        proxy.switch(mode)
        client.sendall(b"again\n")
        wait_until(lambda: proxy.met[mode], 30, "something is held back")
        client.settimeout(SILENCE_S)
        with pytest.raises(TimeoutError):
            client.recv(100)
        assert (b"again\n" in echo.heard) == (mode is Mode.ONLY_REQUESTS)
        proxy.switch(Mode.PASS)
        client.settimeout(30)
        assert client.recv(100) == b"again\n"


def test_what_was_asked_by_somebody_who_gave_up_is_lost(echo: Echo, proxy: Proxy) -> None:
    """It does not arrive after the black hole."""
    with connect(proxy) as client:
        proxy.switch(Mode.BLACK_HOLE)
        client.sendall(b"given up\n")
        wait_until(lambda: proxy.met[Mode.BLACK_HOLE], 30, "it is held back")
    threading.Event().wait(SILENCE_S)  # its end reaches the proxy
    proxy.switch(Mode.PASS)
    connect(proxy).close()
    assert echo.heard == [b"hello\n", b"hello\n"]


def test_a_reset_ends_what_is_open_and_what_comes(proxy: Proxy) -> None:
    """Until the mode changes; then new connections work."""
    with connect(proxy) as client:
        proxy.switch(Mode.RESET)
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    # The reset may come as early as the connecting.
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection((HOST, proxy.port), timeout=30) as refused,
    ):
        refused.recv(100)
    proxy.switch(Mode.PASS)
    connect(proxy).close()


def test_a_delay_is_one_in_each_direction(proxy: Proxy) -> None:
    """Late, and whole."""
    with connect(proxy) as client:
        proxy.switch(Mode.DELAY)
        began_s = time.monotonic()
        client.sendall(b"slow\n")
        assert client.recv(100) == b"slow\n"
        assert time.monotonic() - began_s >= 2 * DELAY_S
