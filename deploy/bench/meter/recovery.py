"""Back at work after kill -9: from the start of the new process until everything published meanwhile is applied."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.bench.common.waiting import wait_until
from deploy.bench.meter import measure
from deploy.bench.meter.load import Load
from deploy.bench.meter.process import meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deploy.bench.meter.process import Meter
    from deploy.bench.meter.scenario import Scenario

_READY_WITHIN_S = 120.0
_TAIL_RECORDS = 40
_NO_SNAPSHOT_MEANWHILE = {"FUSION_METER_SNAPSHOT_S": "3600"}


@dataclass(frozen=True, slots=True)
class Recovery:
    """One recovery: `seconds` until at work, `published_s` until all totals were right again, at `keys` live keys."""

    seconds: float
    published_s: float
    keys: int
    replayed_records: int
    rss_mib: float
    store_mib: float


@contextmanager
def recovered(scenario: Scenario, variables: Mapping[str, str]) -> Iterator[tuple[Meter, Recovery]]:
    """Kill a meter that has a snapshot in the scenario's folder, and go on with its successor.

    Half of what the successor has to replay was applied by the killed one after its snapshot, the other half was
    published while none was running.
    """
    ends = dict(scenario.ends)
    with meter(scenario.broker, scenario.prefix, scenario.folder, _NO_SNAPSHOT_MEANWHILE) as doomed:
        wait_until(doomed.is_ready, _READY_WITHIN_S, "the meter is ready")
        scenario.publish(_tail(scenario, "before").records(scenario.expected))
        measure.wait_applied(doomed, ends, scenario.ends)
        doomed.child.kill()
    scenario.publish(_tail(scenario, "after").records(scenario.expected))
    began_at = time.monotonic()
    with meter(scenario.broker, scenario.prefix, scenario.folder, variables) as successor:
        applied = measure.wait_applied(successor, ends, scenario.ends)
        wait_until(successor.is_ready, _READY_WITHIN_S, "the meter is ready")
        seconds = max(applied.ended_at, time.monotonic()) - began_at
        published_s = measure.wait_published(scenario, {}) - began_at
        yield (
            successor,
            Recovery(
                seconds=seconds,
                published_s=published_s,
                keys=scenario.expected.distinct,
                replayed_records=2 * _TAIL_RECORDS,
                rss_mib=successor.child.rss_mib(peak=False),
                store_mib=sum(successor.samples().get("fusion_store_bytes", {}).values()) / (1 << 20),
            ),
        )


def _tail(scenario: Scenario, label: str) -> Load:
    load = scenario.load
    return Load(
        label=f"{label}-",
        counters=_TAIL_RECORDS * load.per_record,
        per_record=load.per_record,
        replaced_share=0,
        subscriptions=load.subscriptions,
        seed=load.seed,
    )
