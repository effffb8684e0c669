"""When the meter has nothing left to say, without waiting for a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.faults.load import SUBSCRIPTIONS
from tests.faults.reference_model import SERVICE
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stack.reading import Tail

QUIET_WITHIN_S = 90.0
_ROUNDS = 3
_START = "2026-12-01T00:00:00Z"


@dataclass(slots=True)
class Quiet:
    """Sends marks: one more counter to each subscription, which together lie in all partitions.

    A partition is applied in order and published oldest mark first, so what was before a mark is out with its total.
    Three rounds: strays reach their partition with the first one; the second one has them counted; and before the
    third one commits, all partitions of all topics show the transaction of the second one.
    """

    totals: Tail
    partitions: int
    rounds: int = 0

    @property
    def marks_sent(self) -> int:
        """How many counters of its own it has sent so far."""
        return self.rounds * len(SUBSCRIPTIONS)

    def wait(self, publish: Callable[[dict[str, Any]], tuple[int, int]]) -> None:
        """Return when whatever came of the usage so far is published; nobody else may publish meanwhile."""
        for _ in range(_ROUNDS):
            self.rounds += 1
            places = {publish(self._mark(name))[0] for name in SUBSCRIPTIONS}
            assert places == set(range(self.partitions)), "no subscription for some partition"
            wait_until(self._are_counted, QUIET_WITHIN_S, f"totals of round {self.rounds}")

    def _mark(self, subscription: str) -> dict[str, Any]:
        return {
            "subscription": subscription,
            "metric": "credits",
            "quantity": "1",
            "period_start": _START,
            "period_end": _START,
            "idempotency_key": f"round{self.rounds}",
        }

    def _are_counted(self) -> bool:
        totals = self.totals.poll()
        keys = [f"{SERVICE}/{name}/credits/{_START}" for name in SUBSCRIPTIONS]
        return all(totals.get(key, {}).get("quantity") == str(self.rounds) for key in keys)
