"""One connection to one endpoint: HTTP/1.1, one request at a time; of an answer only what the sink needs is kept.

Written on httptools (the parser of Node) because a general client spends more on a request than all the rest of a
delivery costs (docs/webhooks.md). Every limit on an answer is here; its deadline is the caller's.
"""

import asyncio
from dataclasses import dataclass
from typing import cast

import httptools

HEAD_BYTES_MAX = 32 * 1024
HEADERS_MAX = 64
BODY_BYTES_MAX = 16 * 1024
_RETRY_AFTER_BYTES_MAX = 64
_FIRST_FINAL_STATUS = 200


class BrokenAnswer(Exception):
    """What came is no answer, or none that we read."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is kept of an answer whose body was read, or cut off at its limit."""

    status: int
    retry_after: str | None


class Connection(asyncio.Protocol):
    """Sends requests one after the other, each over as soon as its answer is.

    `is_reusable`: the last answer was complete and its server keeps the connection.
    """

    def __init__(self) -> None:
        self.is_reusable = False
        self.free_since_s = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Head] | None = None

    async def ask(self, request: bytes) -> Head:
        """Send one request, serialised, and return its answer; the connection is gone if that ends in any error.

        Raises:
            BrokenAnswer: it is no HTTP, it is beyond a limit, or the connection ended before it was complete.
            OSError: the connection was reset.
        """
        self.is_reusable = False
        self._status = 0
        self._retry_after: str | None = None
        self._headers = 0
        self._read_bytes = 0
        self._is_in_body = False
        self._has_length = False
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = None
            if not self.is_reusable:
                self._transport.abort()

    def abort(self) -> None:
        """Close it at once."""
        self.is_reusable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take in a part of an answer; what nobody asked for ends the connection."""
        if self._answer is None or self._answer.done():
            self.abort()
            return
        self._read_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BrokenAnswer(str(error)))
        except httptools.HttpParserUpgrade:
            self._fail(BrokenAnswer("the server changed the protocol"))
        if self._is_in_body:
            if self._read_bytes > BODY_BYTES_MAX:
                self._finish()  # read, so that the connection can be used again; an endless body costs it instead
        elif self._read_bytes > HEAD_BYTES_MAX:
            self._fail(BrokenAnswer(f"more than {HEAD_BYTES_MAX} bytes of headers"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer that waits: complete, if its end was to be the connection's."""
        self.is_reusable = False
        if exc is None and self._is_waiting and self._is_in_body and not self._has_length:
            self._finish()
        self._fail(exc or BrokenAnswer("the server closed the connection"))

    # The parser's callbacks.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; keep Retry-After."""
        self._headers += 1
        if self._headers > HEADERS_MAX:
            raise BrokenAnswer(f"more than {HEADERS_MAX} headers")
        match name.lower():
            case b"retry-after":
                self._retry_after = value[:_RETRY_AFTER_BYTES_MAX].decode("latin-1")
            case b"content-length" | b"transfer-encoding":
                self._has_length = True

    def on_headers_complete(self) -> None:
        """Note the status; what follows the headers of a final one is its body."""
        self._status = self._parser.get_status_code()
        if self._status >= _FIRST_FINAL_STATUS:
            self._is_in_body = True
            self._read_bytes = 0

    def on_message_complete(self) -> None:
        """Finish, unless it was an answer of class 1xx, which goes before the answer."""
        if self._status >= _FIRST_FINAL_STATUS and self._is_waiting:
            self.is_reusable = self._parser.should_keep_alive()
            self._finish()

    def on_message_begin(self) -> None:
        """Do not use a connection again on which a second answer follows the first."""
        if not self._is_waiting:
            self.is_reusable = False

    @property
    def _is_waiting(self) -> bool:
        return self._answer is not None and not self._answer.done()

    def _finish(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Head(self._status, self._retry_after))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
