"""The HTTP half: POST (any path) takes a webhook, GET /state shows what became of it, GET /healthz says alive."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from producers.adapters.control_loop.loop import ControlLoop
from producers.sdk.webhooks import WebhookRefused, verify

_log = structlog.get_logger("fusion.control_loop")

BODY_BYTES_MAX = 1 << 20
_SOCKET_TIMEOUT_S = 10.0


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Receiver:
    """What a request needs."""

    loop: ControlLoop
    secrets: Sequence[str]
    now: Callable[[], datetime] = utc_now


def serve(receiver: Receiver, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server that is bound (port 0 takes a free one) and waits for `serve_forever`."""
    return ThreadingHTTPServer((host, port), partial(_Handler, receiver))


class _Handler(BaseHTTPRequestHandler):
    timeout = _SOCKET_TIMEOUT_S

    def __init__(self, receiver: Receiver, *arguments: Any) -> None:
        self._receiver = receiver
        super().__init__(*arguments)  # handles the request

    def do_POST(self) -> None:
        """Take a webhook: 200 also for a repeated one, 401 if it is not proven, 411 or 413 by its length."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._answer(411, {"error": "send a Content-Length"})
        elif int(length) > BODY_BYTES_MAX:
            self._answer(413, {"error": f"at most {BODY_BYTES_MAX} bytes"})
        else:
            self._take(self.rfile.read(int(length)))

    def do_GET(self) -> None:
        """Show the state."""
        if self.path == "/state":
            self._answer(200, self._receiver.loop.state())
        elif self.path == "/healthz":
            self._answer(200, {"status": "ok"})
        else:
            self._answer(404, {"error": "try GET /state, or POST a webhook"})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name
        """Say nothing: `_take` logs what matters."""

    def _take(self, body: bytes) -> None:
        try:
            event = verify(body, dict(self.headers.items()), self._receiver.secrets, self._receiver.now())
        except WebhookRefused as error:
            _log.warning("webhook.refused", reason=str(error))
            self._answer(401, {"error": str(error)})
            return
        is_new = self._receiver.loop.handle(event)
        _log.info("webhook.taken", event_id=event["id"], event_type=event.get("type"), repeated=not is_new)
        self._answer(200, {"status": "ok", "repeated": not is_new})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
