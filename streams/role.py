"""The process of the role `meter`: a Faust worker around the app, ended at once by what no retry mends."""

import gc
import logging
import os
from collections.abc import Callable

import faust
import structlog

from schemas.settings import Settings
from streams.app import create_app
from streams.data_directory import locked
from streams.meter import Meter
from streams.store import compiled

log = structlog.get_logger()

_EXIT_FAILURE = 1


def run(settings: Settings, announce: Callable[[Callable[[], bool]], None]) -> None:
    """Run until SIGTERM or SIGINT; `announce` is given the readiness check once there is one."""
    with locked(settings.meter_data_dir):
        compiled.keep_in(settings.meter_data_dir)
        _spare_the_collector()
        meter = Meter(settings, on_failure=_end_process)
        announce(lambda: meter.is_ready)
        app = create_app(settings, meter)
        worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True, loglevel="WARNING")
        worker.execute_from_commandline()


def _spare_the_collector() -> None:
    """Leave what was imported out of garbage collection, and collect less often.

    A fetch makes tens of thousands of objects that hold no cycles; with the default thresholds each few hundred of them
    cost a collection, now and then one over all modules: an eighth of the time at single counters.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _end_process(error: BaseException) -> None:
    """Stop before Faust's next commit: the restart begins at what the store and the log hold, so nothing is lost."""
    log.critical("meter.failed", error=repr(error), exc_info=error)
    logging.shutdown()
    os._exit(_EXIT_FAILURE)
