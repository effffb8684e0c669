"""A TCP proxy on loopback that a test puts between two parts and switches at run time (F26).

What it holds back is late, as on a network that retransmits: it flows on when a later mode lets it pass. Lost is what
was asked by somebody who has given up meanwhile.
Runs in a thread of its own, on real sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from deploy.local.ports import HOST, draw_free_port
from tests.hostile.background import serving

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

DELAY_S = 0.2
_CHUNK_BYTES = 1 << 16


class Mode(Enum):
    """What happens to connections, those that are open and those that come."""

    PASS = "pass"
    DELAY = "delay"
    RESET = "reset"
    BLACK_HOLE = "black hole"
    ONLY_REQUESTS = "only requests"
    ONLY_ANSWERS = "only answers"


class Way(Enum):
    """The two directions, as the side that connects sees them."""

    REQUEST = "request"
    ANSWER = "answer"


_HELD = {
    Mode.BLACK_HOLE: {Way.REQUEST, Way.ANSWER},
    Mode.ONLY_REQUESTS: {Way.ANSWER},
    Mode.ONLY_ANSWERS: {Way.REQUEST},
}


@dataclass
class Proxy:
    """Connections to `port` lead to `target_port`. `met` counts what came while a mode other than PASS was on."""

    target_port: int
    port: int
    mode: Mode = Mode.PASS
    met: Counter[Mode] = field(default_factory=Counter)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    def switch(self, mode: Mode) -> None:
        """Return once the mode is on; called from any thread but the proxy's own."""
        if self._loop is None:
            raise RuntimeError("the proxy does not run")
        asyncio.run_coroutine_threadsafe(self._switch(mode), self._loop).result(30)

    async def serve(self, ready: threading.Event, ended: threading.Event) -> None:
        """Take connections until the end, which resets those that are left."""
        self._loop = asyncio.get_running_loop()
        listening = await asyncio.start_server(self._accept, HOST, self.port, backlog=1000)
        ready.set()
        await asyncio.to_thread(ended.wait)
        listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._switch(Mode.RESET)
        await asyncio.sleep(0)  # what was aborted closes at the loop's next turn

    async def _switch(self, mode: Mode) -> None:
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode is Mode.RESET:
            for writer in list(self._writers):
                self.met[mode] += 1
                _reset(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.create_task(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry both directions of one connection until either side ends it."""
        ends = [writer]
        try:
            self._refuse_if_resetting()
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target_port)
            ends.append(far_writer)
            self._writers.add(far_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(Way.REQUEST, reader, far_writer))
                both.create_task(self._pump(Way.ANSWER, far_reader, writer))
        except* OSError:
            pass  # one side is gone; so is the other, below
        finally:
            for end in ends:
                self._writers.discard(end)
                _reset(end)

    async def _pump(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            is_late = await self._passage(way)
            if is_late and way is Way.REQUEST and reader.at_eof():
                raise ConnectionResetError
            writer.write(chunk)
            await writer.drain()
        await self._passage(way)
        writer.write_eof()

    async def _passage(self, way: Way) -> bool:
        """Return when the mode lets something pass in this direction; true if it was held back."""
        is_late = False
        while way in _HELD.get(self.mode, ()):
            is_late = True
            self.met[self.mode] += 1
            await self._changed.wait()
        self._refuse_if_resetting()
        if self.mode is Mode.DELAY:
            self.met[self.mode] += 1
            await asyncio.sleep(DELAY_S)
        return is_late

    def _refuse_if_resetting(self) -> None:
        if self.mode is Mode.RESET:
            self.met[self.mode] += 1
            raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, unless both sides have ended it already."""
    if not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@contextmanager
def proxy_to(target_port: int, port: int = 0) -> Iterator[Proxy]:
    """A proxy in front of a loopback port until the block ends. `port`: where to listen; 0: a free one."""
    proxy = Proxy(target_port, port or draw_free_port())
    with serving(proxy.serve):
        yield proxy
