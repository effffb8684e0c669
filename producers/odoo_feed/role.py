"""The role `odoo-feed`: repeats both jobs, each at its own pace, through the absence of either neighbour."""

import threading
import time
from collections.abc import Callable

import structlog

from producers import metrics
from producers.kafka_client import RecordTooLarge
from producers.odoo_feed.catalog import CatalogShrank
from producers.odoo_feed.session import KafkaSession, Sessions
from producers.odoo_feed.work import CatalogWork, OutboxWork
from schemas.errors import OdooRefused, OwnershipLost, Unavailable
from schemas.odoo_rpc import OdooBilling, OdooTransport
from schemas.sealing import check_secret_key
from schemas.settings import Settings

_log = structlog.get_logger("fusion.feed")

_WAIT_MAX_S = 30.0
_DOUBLINGS_MAX = 5


def run(
    settings: Settings,
    odoo_transport_factory: Callable[[], OdooTransport],
    stop: threading.Event,
    ready: threading.Event | None = None,
) -> None:
    """Feed until `stop` is set, then finish the round and return.

    Args:
        settings: connection, pace and `FUSION_SECRET_KEY`.
        odoo_transport_factory: makes the one connection to Odoo; called once, from this thread.
        stop: set it from a signal handler.
        ready: set here as soon as the whole catalog is on the topic.

    Raises:
        ConfigurationError: `FUSION_SECRET_KEY` cannot seal.
        OwnershipLost: another feed has begun; two would undo each other's work.
    """
    check_secret_key(settings.secret_key.get_secret_value())
    odoo = OdooBilling(odoo_transport_factory())
    sessions = Sessions(lambda: KafkaSession(settings))
    catalog = CatalogWork(settings, odoo, sessions, ready or threading.Event())
    outbox = OutboxWork(settings, odoo, sessions)
    try:
        repeat([Job("catalog", catalog.run_once), Job("outbox", outbox.run_once)], stop)
    except OwnershipLost as error:
        raise OwnershipLost(f"this odoo-feed stops, as only one may run: {error}") from error
    finally:
        sessions.close()
    _log.info("feed.stopped")


def repeat(jobs: list["Job"], stop: threading.Event) -> None:
    """Run each job whenever it is due, until `stop` is set."""
    while not stop.is_set():
        for job in jobs:
            if job.due_at_s <= time.monotonic() and not stop.is_set():
                job.run()
        stop.wait(max(0.0, min(job.due_at_s for job in jobs) - time.monotonic()))


def wait_s(failures: int) -> float:
    """Seconds before the next try after so many failures in a row (1, 2, 4, 8, 16, then 30)."""
    return min(_WAIT_MAX_S, 2.0 ** min(failures - 1, _DOUBLINGS_MAX))


class Job:
    """Work that is repeated; it says when next, or fails and is tried again later and later.

    Only the change is logged: once when the work begins to fail, or fails for another reason, once when it works again.
    """

    def __init__(self, name: str, run_once: Callable[[], float]) -> None:
        self.due_at_s = 0.0
        self._name = name
        self._run_once = run_once
        self._failures = 0
        self._problem: str | None = None

    def run(self) -> None:
        """Do the work once and set `due_at_s`."""
        try:
            pause_s = self._run_once()
        except (Unavailable, OdooRefused, RecordTooLarge, CatalogShrank) as error:
            self._failures += 1
            pause_s = wait_s(self._failures)
            self._note(type(error).__name__, str(error))
        else:
            self._failures = 0
            self._note(None, "")
        self.due_at_s = time.monotonic() + pause_s

    def _note(self, problem: str | None, detail: str) -> None:
        metrics.FEED_FAILING.labels(self._name).set(problem is not None)
        if problem == self._problem:
            return
        self._problem = problem
        if problem is None:
            _log.info("feed.job_recovered", job=self._name)
        else:
            _log.warning("feed.job_failed", job=self._name, problem=problem, detail=detail)
