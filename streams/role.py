"""The process of the role `meter`: a Faust worker around the app, ended at once by what no retry mends."""

import logging
import os
from collections.abc import Callable

import faust
import structlog

from schemas.settings import Settings
from streams.app import create_app
from streams.meter import Meter

log = structlog.get_logger()

_EXIT_FAILURE = 1


def run(settings: Settings, announce: Callable[[Callable[[], bool]], None]) -> None:
    """Run until SIGTERM or SIGINT; `announce` is given the readiness check once there is one."""
    settings.meter_data_dir.mkdir(parents=True, exist_ok=True)
    meter = Meter(settings, on_failure=_end_process)
    announce(lambda: meter.is_ready)
    app = create_app(settings, meter)
    worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True, loglevel="WARNING")
    worker.execute_from_commandline()


def _end_process(error: BaseException) -> None:
    """Stop before Faust's next commit: the restart begins at what the store and the log hold, so nothing is lost."""
    log.critical("meter.failed", error=repr(error), exc_info=error)
    logging.shutdown()
    os._exit(_EXIT_FAILURE)
