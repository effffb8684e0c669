"""`python -m producers.adapters.control_loop --port N`, with the secret in FUSION_WEBHOOK_SECRET or …_FILE."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from producers.adapters.control_loop.loop import ControlLoop
from producers.adapters.control_loop.server import Receiver, serve

_SECRET = "FUSION_WEBHOOK_SECRET"  # noqa: S105 -- the variable's name
_log = structlog.get_logger("fusion.control_loop")


class LoggingHook:
    """The example's hook: says what an app would do."""

    def suspend(self, subscription: str) -> None:
        """Say that the subscription is suspended."""
        _log.info("app.suspended", subscription=subscription)

    def restore(self, subscription: str) -> None:
        """Say that it is served again."""
        _log.info("app.restored", subscription=subscription)

    def deprovision(self, subscription: str) -> None:
        """Say that it is gone."""
        _log.info("app.deprovisioned", subscription=subscription)


def secrets_from(environment: Mapping[str, str]) -> list[str]:
    """Return the endpoint's secrets, one per line or comma (two during a rotation); empty if there are none."""
    path = environment.get(f"{_SECRET}_FILE")
    text = Path(path).read_text(encoding="utf-8") if path else environment.get(_SECRET, "")
    return text.replace(",", " ").split()


def main() -> int:
    """Serve until SIGTERM or SIGINT; exit code 0, or 2 when there is no secret."""
    parser = argparse.ArgumentParser(prog="python -m producers.adapters.control_loop", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one and logs it")
    parser.add_argument("--memory", type=Path, help="file that lets it know after a restart what it has handled")
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        secrets = secrets_from(os.environ)
    except OSError as error:
        parser.error(f"{_SECRET}_FILE: cannot read {error.filename} ({error.strerror})")
    if not secrets:
        parser.error(f"set {_SECRET} or {_SECRET}_FILE to the endpoint's secret")
    server = serve(Receiver(ControlLoop(LoggingHook(), arguments.memory), secrets), arguments.host, arguments.port)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=server.serve_forever, name="http")
    thread.start()
    _log.info("control_loop.listening", url=f"http://{arguments.host}:{server.server_address[1]}")
    stop.wait()
    server.shutdown()
    thread.join()
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
