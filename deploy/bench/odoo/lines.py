"""Lines through the whole sink: from the first record handed to Kafka until the sink has committed the last.

It commits after `lines.v1` has the answers, and those come after Odoo's commit: a figure never counts what may still be
lost. While the clock runs, nothing is made here but requests: records are written beforehand, answers read afterwards.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deploy.bench.common import kafka_io
from deploy.bench.common.waiting import wait_until
from deploy.bench.odoo.books import outgoing
from schemas.topics import LINES, OVERAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.bench.common.child import Child
    from deploy.bench.common.kafka_io import Outgoing
    from deploy.bench.odoo.books import Books
    from deploy.bench.odoo.scenario import Scenario
    from schemas.derived import Overage

_WITHIN_S = 900.0
_LOOK_S = 0.02


@dataclass(slots=True)
class Passage:
    """One kind of row on its way through: how many were sent, what `lines.v1` was told of them, who worked how long."""

    rows: int
    took_s: float
    statuses: dict[str, int]
    cpu_s: dict[str, float] = field(default_factory=dict)

    @property
    def answers(self) -> int:
        """How many of the rows Odoo was asked about; coalesced and repeated ones are not among them."""
        return sum(self.statuses.values())


@dataclass(slots=True)
class LineBench:
    """Sends rows and remembers what Odoo must hold in the end: `sent` maps a key to its newest overage."""

    scenario: Scenario
    books: Books
    sink: Child
    sent: dict[str, Overage] = field(default_factory=dict)
    turn: int = 0

    def warm_up(self, names: Sequence[str]) -> None:
        """Let Odoo and the sink load what they load once; the rows stay and are verified with the rest."""
        self.pass_through(names, cents=100)
        self.pass_through(names, cents=200)

    def pass_through(self, subscriptions: Sequence[str], cents: int, rounds: int = 1) -> Passage:
        """Send one row per subscription, `rounds` times, each newer than the last; amounts differ by subscription."""
        records = []
        for _ in range(rounds):
            self.turn += 1
            for index, name in enumerate(subscriptions):
                overage = self.books.overage(name, cents + 10 * index, self.turn)
                self.sent[overage.key] = overage
                records.append(outgoing(overage))
        return self._timed(records)

    def pass_again(self, subscriptions: Sequence[str], rounds: int) -> Passage:
        """Send each subscription's newest record again as it was, `rounds` times."""
        names = set(subscriptions)
        newest = [outgoing(overage) for overage in self.sent.values() if overage.subscription in names]
        return self._timed(newest * rounds)

    def _timed(self, records: Sequence[Outgoing]) -> Passage:
        bootstrap, overage, lines = self.scenario.broker.bootstrap, *map(self.scenario.topic, (OVERAGE, LINES))
        start = {lines: kafka_io.end_offsets(bootstrap, lines)}
        with kafka_io.progress_of(bootstrap, self.scenario.topic_group("odoo-sink"), overage) as committed:
            before, began_s = self._cpu_s(), time.monotonic()
            self.scenario.publish(records)
            ends = kafka_io.end_offsets(bootstrap, overage)

            def all_settled() -> bool:
                self.sink.check_alive()
                settled = committed()
                return all(settled[partition] >= end for partition, end in ends.items())

            wait_until(all_settled, _WITHIN_S, "the sink has settled the last rows", _LOOK_S)
            took_s = time.monotonic() - began_s
        used = {name: round(after - before[name], 1) for name, after in self._cpu_s().items()}
        with kafka_io.follower(bootstrap, [lines], start) as follower:
            told: list[dict[str, Any]] = [json.loads(record.value or b"{}") for record in follower.drain()]
        return Passage(len(records), took_s, dict(Counter(line["status"] for line in told)), used)

    def _cpu_s(self) -> dict[str, float]:
        return {"sink": self.sink.cpu_s(), "odoo": self.scenario.odoo.child.cpu_s()}
