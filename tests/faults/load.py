"""Seeded random usage, published while things break: new, repeated, corrected, late, refused, stray, and garbage."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.reference_model import METRICS, SERVICE

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.faults.meter_lab import MeterLab

SUBSCRIPTIONS = [f"s{number}" for number in range(7)] + ["with/slash"]
_ENDS_WITHIN_S = 90.0


@contextmanager
def under_load(lab: MeterLab) -> Iterator[None]:
    """The lab's load comes in all through the block."""
    stop, failures = threading.Event(), []

    def work() -> None:
        try:
            while not stop.wait(0.005):
                lab.load.step()
        except Exception as error:  # noqa: BLE001 -- raised again below, in the test's thread
            failures.append(error)

    thread = threading.Thread(target=work, name="load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_ENDS_WITHIN_S)
    if failures:
        raise failures[0]
    if thread.is_alive():
        raise AssertionError("the load did not come to its end")


@dataclass(slots=True)
class Load:
    """The same records from the same seed, as far as the broker gives them the same order."""

    lab: MeterLab
    random: random.Random
    sent: list[dict[str, Any]] = field(default_factory=list)
    _unique: int = 0

    def step(self) -> None:
        """Publish one record."""
        chance = self.random.random()
        if chance < 0.03:
            raw = self.random.choice([b"\x00\xff garbage", b"{", b"[]", b'{"service":"maps"}', b""])
            place = self.lab.publish(raw, partition=self.random.randrange(self.lab.partitions))
            self.lab.model.take(*place, raw)
        elif chance < 0.05:
            self.stray()
        else:
            subscription = self.random.choice(SUBSCRIPTIONS)
            rows = [self._counter(subscription) for _ in range(self.random.randint(1, 12))]
            # Whatever loses or doubles the record shows in this one, which nothing else replaces.
            self.lab.publish_counters(*rows, self._only(subscription))

    def alone(self) -> None:
        """Publish one counter into a period of its own: no other counter marks its total again."""
        only = self._only(self.random.choice(SUBSCRIPTIONS))
        start = f"{2030 + self._unique // 12 % 60}-{self._unique % 12 + 1:02}-01T00:00:00Z"
        self.lab.publish_counters(only | {"period_start": start, "period_end": start})

    def stray(self) -> None:
        """Publish a counter that may be on a wrong partition; nothing replaces it, as its place in the log is open."""
        raw = json.dumps({"service": SERVICE, "counters": [self._only(self.random.choice(SUBSCRIPTIONS))]}).encode()
        place = self.lab.publish(raw, partition=self.random.randrange(self.lab.partitions))
        self.lab.model.take(*place, raw)

    def send_again(self, count: int) -> None:
        """Publish the last counters once more, in another order and cut into other batches."""
        rows = self.sent[-count:]
        self.random.shuffle(rows)
        for subscription in SUBSCRIPTIONS:
            own = [row for row in rows if row["subscription"] == subscription]
            while own:
                size = self.random.randint(1, 40)
                self.lab.publish_counters(*own[:size])
                own = own[size:]

    def _counter(self, subscription: str) -> dict[str, Any]:
        earlier = [row for row in self.sent[-400:] if row["subscription"] == subscription]
        chance = self.random.random()
        if earlier and chance < 0.35:
            row = dict(self.random.choice(earlier))
            if chance < 0.25:
                row |= {"quantity": self._quantity(row["metric"]), "revision": self.random.randint(0, 2)}
            if chance < 0.05:
                row |= self._interval()
        else:
            row = self._fresh(subscription, self.random.choice(sorted(METRICS)))
        self.sent.append(row)
        return row

    def _only(self, subscription: str) -> dict[str, Any]:
        self._unique += 1
        return self._fresh(subscription, "calls") | {"idempotency_key": f"only{self._unique}", "quantity": "1"}

    def _fresh(self, subscription: str, metric: str) -> dict[str, Any]:
        return {
            "subscription": subscription,
            "metric": metric,
            "quantity": self._quantity(metric),
            "idempotency_key": f"k{self.random.randrange(4000)}",
            "properties": {"seat": self.random.choice("abcdefg")},
            **self._interval(),
        }

    def _quantity(self, metric: str) -> str:
        if self.random.random() < 0.02:
            return "1e400"
        if metric == "credits" or self.random.random() < 0.02:
            return str(-self.random.randint(1, 50))
        return self.random.choice(
            [str(self.random.randint(0, 60)), f"{self.random.random():.6f}", "0.000000000000000001", "1" + "0" * 20]
        )

    def _interval(self) -> dict[str, str]:
        month, day = self.random.choice([6, 7, 8]), self.random.randint(1, 28)
        return {
            "period_start": f"2026-{month:02}-{day:02}T00:00:00Z",
            "period_end": f"2026-{month:02}-{day:02}T01:00:00Z",
        }
