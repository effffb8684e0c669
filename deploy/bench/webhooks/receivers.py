"""All receivers of the benchmark in one process: 50 that answer 200 at once, and three hostile ones.

Each request of a good one is verified (signature over the bytes as they came, order per subscription); GET /report
tells what came since the last one. `python -m deploy.bench.webhooks.receivers PORT`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
import time
from collections import defaultdict

SECRET = "bench-secret"  # noqa: S105 -- of receivers that live for minutes on loopback
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_ERROR = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
_TRICKLED = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
_TRICKLE_S = 0.5


class Book:
    """What came since the last report."""

    def __init__(self) -> None:
        self.sequences: dict[tuple[str, str], int] = defaultdict(lambda: -1)
        self.clear()

    def clear(self) -> None:
        """Begin anew; the order goes on."""
        self.arrivals: list[tuple[str, str, float]] = []
        self.forged = 0
        self.disordered = 0

    def note(self, path: str, signature: str, body: bytes) -> None:
        """Verify and keep one request."""
        expected = hmac.digest(SECRET.encode(), body, "sha256").hex()
        self.forged += not hmac.compare_digest(signature, expected)
        event = json.loads(body)
        lane, sequence = (path, event["subscription"]), event["data"]["sequence"]
        self.disordered += sequence < self.sequences[lane]
        self.sequences[lane] = max(sequence, self.sequences[lane])
        self.arrivals.append((path, event["id"], time.monotonic()))

    def report(self) -> bytes:
        """What came, as JSON."""
        report = {"arrivals": self.arrivals, "forged": self.forged, "disordered": self.disordered}
        self.clear()
        return json.dumps(report).encode()


class Receiver(asyncio.Protocol):
    """One connection: HTTP/1.1 with Content-Length and keep-alive, no more than our sender speaks."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._pending = b""
        self._drips: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # TCP's is one

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the base class's signature
        """Stop trickling."""
        if self._drips is not None:
            self._drips.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            lines = self._pending[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            size = int(headers.get("content-length", "0"))
            if len(self._pending) < end + 4 + size:
                return
            body, self._pending = self._pending[end + 4 : end + 4 + size], self._pending[end + 4 + size :]
            self._answer(lines[0].split(" ")[1], headers.get("x-fusion-signature", ""), body)

    def _answer(self, path: str, signature: str, body: bytes) -> None:
        if path.startswith("/ok/"):
            self._book.note(path, signature, body)
            self._transport.write(_OK)
        elif path == "/500":
            self._transport.write(_ERROR)
        elif path == "/trickle":
            self._drips = asyncio.get_running_loop().create_task(self._trickle())
        elif path == "/count":
            self._say(str(len(self._book.arrivals)).encode())
        elif path == "/report":
            self._say(self._book.report())
        # Anything else hangs.

    def _say(self, document: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(document) + document)

    async def _trickle(self) -> None:
        self._transport.write(_TRICKLED)
        while True:
            self._transport.write(b".")
            await asyncio.sleep(_TRICKLE_S)


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    book = Book()
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(book), "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
