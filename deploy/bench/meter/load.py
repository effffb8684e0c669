"""The load, and what must come of it: seeded, generated counter by counter, summed in plain dicts.

Shares no code with the meter but the partitioner's rule for names; the wire format is written by hand here and held to
`schemas.wire.encode_batch` by a unit test.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from deploy.bench.common.kafka_io import Outgoing
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVICE = "bench"
METRIC = "api_calls"
QUANTITY_MAX = 1_000
_HOURS = [
    [f"2026-07-10T{hour:02}:00:00Z", f"2026-07-10T{hour + 1:02}:00:00Z"]
    if hour < 23  # noqa: PLR2004
    else ["2026-07-10T23:00:00Z", "2026-07-11T00:00:00Z"]
    for hour in range(24)
]
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Expected:
    """Per subscription: the sum of the last values and the number of distinct keys."""

    sums: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)

    @property
    def distinct(self) -> int:
        """Distinct keys altogether."""
        return sum(self.keys.values())

    def add(self, last_values: Mapping[str, Mapping[str, int]]) -> None:
        """Add keys that are all new: subscription → key → its last quantity."""
        for subscription, values in last_values.items():
            self.sums[subscription] = self.sums.get(subscription, 0) + sum(values.values())
            self.keys[subscription] = self.keys.get(subscription, 0) + len(values)


@dataclass(frozen=True, slots=True)
class Load:
    """A description of counters; `records` makes them, the same ones each time.

    `label` keeps the keys of several loads on one topic apart.
    """

    label: str
    counters: int
    per_record: int
    replaced_share: float
    subscriptions: Mapping[int, list[str]]
    seed: int

    def records(self, expected: Expected) -> Iterator[Outgoing]:
        """Containers in columns, partitions in turn as a fleet of apps would send them; adds to `expected`."""
        partitions = sorted(self.subscriptions)
        shares = {p: self.counters // len(partitions) + (p < self.counters % len(partitions)) for p in partitions}
        streams = [self._containers(partition, shares[partition], expected) for partition in partitions]
        while streams:
            for stream in list(streams):
                if (record := next(stream, None)) is None:
                    streams.remove(stream)
                else:
                    yield record

    def singles(self, expected: Expected) -> Iterator[Outgoing]:
        """One counter a record, as any Kafka client sends it: an object, with the key that decides the partition."""
        names = [name for partition in sorted(self.subscriptions) for name in self.subscriptions[partition]]
        draw = _Draw(f"{self.seed}/{self.label}", self, names, self.counters)
        for _ in range(self.counters):
            number, hour, key, quantity = draw.counter(self.label)
            value = {
                "schema_version": 1,
                "service": SERVICE,
                "counters": [
                    {
                        "subscription": names[number],
                        "metric": METRIC,
                        "quantity": quantity,
                        "period_start": _HOURS[hour][0],
                        "period_end": _HOURS[hour][1],
                        "idempotency_key": key,
                    }
                ],
            }
            yield Outgoing(_encode(value), key=usage_key(SERVICE, names[number]).encode())
        expected.add(draw.last_values)

    def _containers(self, partition: int, count: int, expected: Expected) -> Iterator[Outgoing]:
        names = self.subscriptions[partition]
        draw = _Draw(f"{self.seed}/{self.label}/{partition}", self, names, count)
        for start in range(0, count, self.per_record):
            rows = [draw.counter(f"{self.label}{partition}-") for _ in range(min(self.per_record, count - start))]
            yield Outgoing(_columns(rows, names), partition=partition)
        expected.add(draw.last_values)


_Row = tuple[int, int, str, int]
"""A counter: number of its subscription, hour, key, quantity."""


class _Draw:
    """Draws one partition's counters; a replacement repeats the key, subscription and hour of an earlier one."""

    def __init__(self, seed: str, load: Load, names: list[str], count: int) -> None:
        self._random = random.Random(seed).random  # noqa: S311 -- the same load each time is the point
        self._names = names
        self._replaced_share = load.replaced_share
        self._count = count
        self._owner: list[int] = []  # of each key made so far, its subscription's number
        self.last_values: dict[str, dict[str, int]] = {name: {} for name in names}

    def counter(self, prefix: str) -> _Row:
        """The next one; its value becomes the last one of its key."""
        made = len(self._owner)
        if made and self._random() < self._replaced_share:
            number = int(self._random() * made)
        else:
            number = made
            self._owner.append(int(self._random() * len(self._names)))
        key, owner = f"{prefix}{number:x}", self._owner[number]
        quantity = 1 + int(self._random() * QUANTITY_MAX)
        self.last_values[self._names[owner]][key] = quantity
        return owner, number * len(_HOURS) // self._count, key, quantity


def subscriptions_by_partition(partitions: int, per_partition: int) -> dict[int, list[str]]:
    """So many names for each partition, by Kafka's rule for the key `service/subscription`."""
    found: dict[int, list[str]] = {partition: [] for partition in range(partitions)}
    number = 0
    while any(len(names) < per_partition for names in found.values()):
        name = f"sub-{number:05}"
        home = found[partition_of(usage_key(SERVICE, name), partitions)]
        if len(home) < per_partition:
            home.append(name)
        number += 1
    return found


def _columns(rows: list[_Row], names: list[str]) -> bytes:
    subscriptions: dict[int, int] = {}
    hours: dict[int, int] = {}
    subscription = [subscriptions.setdefault(row[0], len(subscriptions)) for row in rows]
    period = [hours.setdefault(row[1], len(hours)) for row in rows]
    columns = {
        "subscriptions": [names[number] for number in subscriptions],
        "metrics": [METRIC],
        "periods": [_HOURS[hour] for hour in hours],
        "subscription": subscription,
        "metric": [0] * len(rows),
        "period": period,
        "keys": [row[2] for row in rows],
        "quantities": [row[3] for row in rows],
    }
    return _encode({"schema_version": 1, "service": SERVICE, "columns": columns})
