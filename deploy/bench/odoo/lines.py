"""Lines through the whole sink: from the first record handed to Kafka to the last answer on `lines.v1`.

`lines.v1` hears of a row after Odoo has committed it, so a figure never counts what Odoo may still lose.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from deploy.bench.common import kafka_io
from deploy.bench.common.waiting import wait_until
from schemas.topics import LINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deploy.bench.common.child import Child
    from deploy.bench.odoo.books import Books
    from deploy.bench.odoo.scenario import Scenario
    from schemas.derived import Overage

_WITHIN_S = 900.0


@dataclass(slots=True)
class Passage:
    """One kind of row on its way through: how many a second, what became of them, who worked how long."""

    rows_per_s: float
    statuses: dict[str, int]
    cpu_s: dict[str, float] = field(default_factory=dict)


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
        turns = [self._next_turn() for _ in range(rounds)]
        overages = [
            [self.books.overage(name, cents + 10 * index, turn) for index, name in enumerate(subscriptions)]
            for turn in turns
        ]
        self.sent.update((overage.key, overage) for overage in overages[-1])
        return self._timed(overages, awaited={overage.key for overage in overages[-1]}, version=[1, turns[-1], 0])

    def _timed(self, overages: Sequence[Iterable[Overage]], awaited: set[str], version: list[int]) -> Passage:
        before = self._cpu_s()
        bootstrap, topic = self.scenario.broker.bootstrap, self.scenario.topic(LINES)
        start = {topic: kafka_io.end_offsets(bootstrap, topic)}
        told: list[dict[str, Any]] = []
        with kafka_io.follower(bootstrap, [topic], start) as follower:
            began_s = time.monotonic()
            self.scenario.publish(chain.from_iterable(overages))
            last_read_s = began_s

            def all_told() -> bool:
                nonlocal last_read_s
                self.sink.check_alive()
                for record in follower.poll(0.05):
                    line = json.loads(record.value or b"{}")
                    told.append(line)
                    last_read_s = record.read_at
                    if line["version"] == version:
                        awaited.discard(line["key"])
                return not awaited

            wait_until(all_told, _WITHIN_S, f"the last rows on lines.v1 ({len(awaited)} keys)", 0.0)
        used = {name: round(after - before[name], 1) for name, after in self._cpu_s().items()}
        statuses = Counter(line["status"] for line in told)
        return Passage(len(told) / (last_read_s - began_s), dict(statuses), used)

    def _cpu_s(self) -> dict[str, float]:
        return {"sink": self.sink.cpu_s(), "odoo": self.scenario.odoo.child.cpu_s()}

    def _next_turn(self) -> int:
        self.turn += 1
        return self.turn
