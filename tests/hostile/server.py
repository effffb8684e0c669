"""A hostile HTTP server on loopback: the first part of a request's path names what it does with it.

Runs in a thread of its own, on real sockets, with or without TLS; keeps every request that came whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tests.hostile.background import serving
from tests.hostile.behaviours import ANSWERED, NO_ANSWER, OK, Behaviour, Reader, Writer

if TYPE_CHECKING:
    import ssl
    import threading
    from collections.abc import Iterator

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Came:
    """One request as it came; names of headers in lower case, `at_s` monotonic."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float


@dataclass
class Hostile:
    """The server. `script` puts a behaviour, or several for one request each, in place of the named one."""

    is_tls: bool = False
    port: int = 0
    came: list[Came] = field(default_factory=list)
    connections: int = 0
    scripts: dict[str, list[Behaviour]] = field(default_factory=dict)

    def url(self, path: str, host: str = HOST) -> str:
        """Address of a path."""
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}{path}"

    def on(self, path: str) -> list[Came]:
        """The requests on a path."""
        return [one for one in list(self.came) if one.path == path]

    def script(self, path: str, *behaviours: Behaviour) -> None:
        """Let the next requests on a path be treated so, one each; then as its name says."""
        self.scripts[path] = list(behaviours)

    def behaviour_of(self, path: str) -> Behaviour | None:
        """What the next request on the path meets; null: 200, and the connection stays."""
        script = self.scripts.get(path)
        if script:
            return script.pop(0)
        name = path.split("/")[1]
        return ANSWERED[name][1] if name in ANSWERED else NO_ANSWER.get(name)


@contextmanager
def hostile(tls: ssl.SSLContext | None = None, *, shakes_hands: bool = True) -> Iterator[Hostile]:
    """Serve on a free port until the block ends. `shakes_hands`: else it accepts and never says a word."""
    server = Hostile(is_tls=tls is not None or not shakes_hands)
    with serving(partial(_serve, server, tls if shakes_hands else None, shakes_hands)):
        yield server


async def _serve(
    server: Hostile, tls: ssl.SSLContext | None, shakes_hands: bool, ready: threading.Event, ended: threading.Event
) -> None:
    tasks: set[asyncio.Task[None]] = set()
    open_writers: set[Writer] = set()

    async def serve(reader: Reader, writer: Writer) -> None:
        server.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if not shakes_hands:
                await reader.read()
            while await _one(server, reader, writer):
                pass
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()
        open_writers.discard(writer)

    def accept(reader: Reader, writer: Writer) -> None:
        open_writers.add(writer)
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, HOST, 0, ssl=tls, backlog=1000)
    server.port = listening.sockets[0].getsockname()[1]
    ready.set()
    await asyncio.to_thread(ended.wait)
    listening.close()
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for writer in open_writers:
        writer.transport.abort()
    await asyncio.sleep(0)  # what was aborted closes at the loop's next turn


async def _one(server: Hostile, reader: Reader, writer: Writer) -> bool:
    """Take one request; tell whether the connection stays."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    path = head[0].split(" ")[1]
    server.came.append(Came(path, headers, body, time.monotonic()))
    behaviour = server.behaviour_of(path)
    if behaviour is None:
        writer.write(OK)
        await writer.drain()
        return True
    await behaviour(reader, writer)
    await writer.drain()
    return False
