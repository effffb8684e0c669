"""One log line and two metrics per answered request."""

import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.metrics import GATEWAY_REQUEST_SECONDS, GATEWAY_REQUESTS

_log = structlog.get_logger("fusion.gateway")


class Observer:
    """ASGI middleware around the whole app. The route's template is the label, never the path that was asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch the answer's status."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.monotonic()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            _report(scope, status, time.monotonic() - started_s)


def _report(scope: Scope, status: int, duration_s: float) -> None:
    route: Any = scope.get("route")
    label = getattr(route, "path", "other")
    GATEWAY_REQUESTS.labels(label, str(status)).inc()
    GATEWAY_REQUEST_SECONDS.labels(label).observe(duration_s)
    _log.info(
        "gateway.answered",
        method=scope["method"] if label != "other" else None,
        route=label,
        status=status,
        service=scope.get("state", {}).get("service"),
        duration_s=round(duration_s, 4),
    )
