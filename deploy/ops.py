"""The operator's port of every role: /metrics, /healthz and /readyz, served from a daemon thread."""

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


class OpsServer:
    """Serves `host:port` (0 takes a free one, see `port`) until `close`."""

    def __init__(self, host: str, port: int, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        self._metrics = make_wsgi_app()
        self._server: WSGIServer = make_server(host, port, self._respond, handler_class=_QuietHandler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="ops", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _respond(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        match environ.get("PATH_INFO"):
            case "/metrics":
                answer: Iterable[bytes] = self._metrics(environ, start_response)
                return answer
            case "/healthz":
                return _text(start_response, "200 OK", b"alive\n")
            case "/readyz" if self._is_ready():
                return _text(start_response, "200 OK", b"ready\n")
            case "/readyz":
                return _text(start_response, "503 Service Unavailable", b"not ready\n")
            case _:
                return _text(start_response, "404 Not Found", b"try /metrics, /healthz or /readyz\n")


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name
        """Say nothing: probes and scrapes are no work."""


def _text(start_response: "StartResponse", status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
