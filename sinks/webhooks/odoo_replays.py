"""Takes up the replays that people ask for in Odoo, which has no way to Kafka of its own. Runs beside `odoo_view`."""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

import structlog

from schemas.errors import OdooRefused, Unavailable
from schemas.odoo_rpc import OdooBilling, ReplayReport, ReplayRequest
from schemas.settings import Settings
from sinks.backoff import wait_s
from sinks.webhooks.operator import Operator, Selection

log = structlog.get_logger()

_LOOK_EVERY_S = 2.0


class ReplayRequests:
    """Asks Odoo now and then, and writes what it is asked for to `deliveries.v1`.

    Odoo hands a request out once and, if nothing is reported, once more: a replay may come twice, never not at all.
    """

    def __init__(
        self, settings: Settings, odoo: OdooBilling, operator: Callable[[Settings], Operator] = Operator
    ) -> None:
        self._settings = settings
        self._odoo = odoo
        self._operator = operator

    def run(self, stop_event: Event) -> None:
        """Work until `stop_event`; a neighbour away only delays."""
        failures = 0
        while not stop_event.is_set():
            pause_s = _LOOK_EVERY_S
            try:
                self.run_once()
                failures = 0
            except (Unavailable, OdooRefused) as error:
                failures += 1
                pause_s = wait_s(failures, _LOOK_EVERY_S)
                log.warning("webhook.replays_put_off", failures=failures, retry_s=pause_s, error=str(error)[:500])
            stop_event.wait(pause_s)

    def run_once(self) -> int:
        """Take up what waits; return how many deliveries begin anew."""
        requests = self._odoo.take_replays()
        if not requests:
            return 0
        # One look at the whole topic per round, which costs seconds on a large one: people ask seldom.
        with self._operator(self._settings) as operator:
            asked = {(request["event_id"], request["endpoint"]) for request in requests}
            selection = Selection(frozenset(event_id for event_id, _ in asked))
            known = {(one.event_id, one.endpoint_id): one for one in operator.deliveries(selection)}
            chosen = [one for one in operator.replayable(selection) if (one.event_id, one.endpoint_id) in asked]
            operator.replay(chosen, datetime.now(UTC))
        self._odoo.report_replays([_report(request, is_known=_key(request) in known) for request in requests])
        log.info("webhook.replays_taken_up", requests=len(requests), deliveries=len(chosen))
        return len(chosen)


def _key(request: ReplayRequest) -> tuple[str, int]:
    return request["event_id"], request["endpoint"]


def _report(request: ReplayRequest, *, is_known: bool) -> ReplayReport:
    if is_known:
        return ReplayReport(id=request["id"])
    return ReplayReport(id=request["id"], error="cannot be delivered again: its body is not kept any more")
