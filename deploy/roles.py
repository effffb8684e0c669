"""The composition root: each role with its settings, logging, operator's port, connections and stop signal."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import structlog

from deploy import logs
from deploy.ops import OpsServer
from schemas.settings import Settings, load

log = structlog.get_logger()

Check = Callable[[], bool]


class Readiness:
    """Not ready until a role has handed in its own check."""

    def __init__(self) -> None:
        self._check: Check = lambda: False

    def announce(self, check: Check) -> None:
        """Take the role's own check from now on."""
        self._check = check

    def __call__(self) -> bool:
        """Tell whether the role does its work."""
        return self._check()


def run_gateway() -> None:
    """Serve HTTP; uvicorn handles the signals."""
    from deploy.adapters.odoo import OdooRpcTransport  # noqa: PLC0415 -- a role loads only what it needs
    from producers.gateway import Gateway  # noqa: PLC0415

    with _process("gateway") as (settings, readiness):
        gateway = Gateway(settings, lambda: OdooRpcTransport(settings))
        readiness.announce(gateway.is_ready)
        gateway.run()


def run_meter() -> None:
    """Dedupe, aggregate and rate; Faust handles the signals."""
    from streams import role  # noqa: PLC0415

    with _process("meter") as (settings, readiness):
        role.run(settings, readiness.announce)


def run_odoo_feed() -> None:
    """Bring Odoo's catalog and events to Kafka."""
    from deploy.adapters.odoo import OdooRpcTransport  # noqa: PLC0415
    from producers import odoo_feed  # noqa: PLC0415

    ready = Event()
    with _process("odoo-feed") as (settings, readiness), _stop_signal() as stop:
        readiness.announce(ready.is_set)
        odoo_feed.run(settings, lambda: OdooRpcTransport(settings), stop, ready)


def run_odoo_sink() -> None:
    """Bring rated overage to Odoo."""
    from deploy.adapters.odoo import OdooRpcTransport  # noqa: PLC0415
    from sinks.health import Health  # noqa: PLC0415
    from sinks.odoo import role  # noqa: PLC0415

    health = Health()
    with _process("odoo-sink") as (settings, readiness), _stop_signal() as stop:
        readiness.announce(health.is_ready)
        role.run(settings, OdooRpcTransport, stop, health)


def run_webhook_sink() -> None:
    """Deliver lifecycle events to the apps."""
    from sinks.health import Health  # noqa: PLC0415
    from sinks.webhooks import role  # noqa: PLC0415

    health = Health()
    with _process("webhook-sink") as (settings, readiness), _stop_signal() as stop:
        readiness.announce(health.is_ready)
        role.run(settings, stop, health)


@contextmanager
def _process(role: str) -> Iterator[tuple[Settings, Readiness]]:
    """Set up what every process of ours has, and take it down again."""
    settings = load()
    logs.configure(role, settings.log_format)
    readiness = Readiness()
    ops = OpsServer(settings.ops_host, settings.ops_port, readiness)
    log.info("role.started", ops_port=ops.port)
    try:
        yield settings, readiness
    finally:
        ops.close()
        log.info("role.stopped")


@contextmanager
def _stop_signal() -> Iterator[Event]:
    """Yield an event that SIGTERM and SIGINT set."""
    stop = Event()
    former = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
