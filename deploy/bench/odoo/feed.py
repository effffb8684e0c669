"""Lag of the feed: from Odoo's commit of a lifecycle event until a reader of `events.v1` has it.

The sink writes lines meanwhile, so that the feed competes for the one Odoo process as it does in production.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

from deploy.bench.common import kafka_io
from deploy.bench.common.errors import BenchmarkFailed
from deploy.bench.common.waiting import wait_until
from deploy.bench.odoo.books import SERVICE
from schemas.topics import EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.bench.common.kafka_io import Follower
    from deploy.bench.odoo.scenario import Scenario
    from deploy.local.odoo_rpc import OdooSession

_ALL_WITHIN_S = 120.0
_GAP_S = 0.1
_REPEATS_WITHIN_S = 1.0
TERMINATED = "subscription.terminated"


def lags_s(scenario: Scenario, subscriptions: Sequence[str]) -> tuple[list[float], list[str]]:
    """Seconds for each event of a stream of one change every 0.1 s, and what is wrong with what arrived."""
    bootstrap, topic = scenario.broker.bootstrap, scenario.topic(EVENTS)
    with scenario.role("odoo-feed"), kafka_io.follower(bootstrap, [topic], {}) as follower:
        wait_until(lambda: not _unpublished(scenario.odoo.admin), _ALL_WITHIN_S, "an empty outbox")
        arrivals: list[tuple[str, float]] = []
        committed_s: dict[str, float] = {}
        for subscription in subscriptions:
            next_s = time.monotonic() + _GAP_S
            _terminate(scenario.odoo.bot, subscription)
            committed_s[subscription] = time.monotonic()
            # Read as they come, or an arrival would carry the time of our next look.
            arrivals += _terminations(follower, 0.0)
            while (left_s := next_s - time.monotonic()) > 0:
                arrivals += _terminations(follower, left_s)

        def all_here() -> bool:
            arrivals.extend(_terminations(follower, 0.05))
            return committed_s.keys() <= {name for name, _ in arrivals}

        wait_until(all_here, _ALL_WITHIN_S, "every termination on events.v1", 0.0)
        arrivals += _terminations(follower, _REPEATS_WITHIN_S)
    counts = Counter(name for name, _ in arrivals)
    faults = [f"{name} was told {count} times" for name, count in counts.items() if count != 1]
    faults += [f"{name} was never terminated" for name in counts.keys() - committed_s.keys()]
    # An event may be read before the call that made it has returned.
    return [max(0.0, at_s - committed_s[name]) for name, at_s in arrivals if name in committed_s], faults[:5]


def _terminate(bot: OdooSession, subscription: str) -> None:
    rows = [{"service": SERVICE, "external_id": subscription}]
    [result] = bot.call("fusion.billing.api", "fc_terminate_subscriptions", rows=rows)
    if result["status"] != "ok":
        raise BenchmarkFailed(f"Odoo did not terminate {subscription}: {result}")


def _terminations(follower: Follower, wait_s: float) -> list[tuple[str, float]]:
    found = []
    for record in follower.poll(wait_s):
        event = json.loads(record.value or b"{}")
        if event.get("type") == TERMINATED:
            found.append((event["subscription"], record.read_at))
    return found


def _unpublished(admin: OdooSession) -> int:
    return int(admin.call("fusion.billing.event", "search_count", [["published", "=", False]]))
