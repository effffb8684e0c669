"""Exact comparison of what the engines published with what was sent. Nothing here rounds, samples or tolerates."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from deploy.bench.common import kafka_io
from deploy.bench.meter.catalog import amount_minor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deploy.bench.common.kafka_io import Incoming
    from deploy.bench.meter.load import Expected

_Newest = dict[bytes, tuple[list[int], dict[str, Any]]]


@dataclass(slots=True)
class MeterResult:
    """The newest version of each key of totals.v1 and overage.v1, in whatever order the records come."""

    totals: _Newest = field(default_factory=dict)
    overages: _Newest = field(default_factory=dict)

    def take(self, records: Iterable[Incoming]) -> None:
        """Take records of the two topics."""
        for record in records:
            value = json.loads(record.value or b"{}")
            newest = self.overages if "charge" in value else self.totals
            known = newest.get(record.key)
            if known is None or value["version"] >= known[0]:
                newest[record.key] = value["version"], value

    def faults(self, expected: Expected, quota: int) -> list[str]:
        """Each difference from `expected`, in words; empty means equal in every sum, distinct count and amount."""
        totals = {
            each["subscription"]: (Decimal(each["quantity"]), each["counters"]) for _, each in self.totals.values()
        }
        overages = {
            each["subscription"]: (Decimal(each["total"]), Decimal(each["amount"]))
            for _, each in self.overages.values()
        }
        faults = (
            [f"{len(self.totals)} totals in {len(totals)} subscriptions"] if len(totals) != len(self.totals) else []
        )
        faults += _differences("total", totals, {n: (Decimal(s), expected.keys[n]) for n, s in expected.sums.items()})
        amounts = {n: (Decimal(s), Decimal(amount_minor(s, quota)).scaleb(-2)) for n, s in expected.sums.items()}
        return faults + _differences("overage", overages, amounts)


def cold_meter_result(bootstrap: str, topics: list[str], start: Mapping[str, Mapping[int, int]]) -> MeterResult:
    """What a reader who knows nothing finds in totals.v1 and overage.v1, from `start` (default: the beginning)."""
    result = MeterResult()
    with kafka_io.follower(bootstrap, topics, start) as reader:
        result.take(reader.drain())
    return result


def peer_faults(bootstrap: str, topic: str, expected: Expected) -> list[str]:
    """Each difference between a peer's totals, the last record of each key, and `expected`."""
    found: dict[str, tuple[int, int]] = {}
    with kafka_io.follower(bootstrap, [topic], {}) as reader:
        for record in reader.drain():
            value = json.loads(record.value or b"{}")
            found[record.key.decode()] = int(value["sum"]), int(value["keys"])
    return _differences("total", found, {n: (s, expected.keys[n]) for n, s in expected.sums.items()})


def _differences(what: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    names = sorted(found.keys() | wanted.keys())
    return [
        f"{what} of {name}: found {found.get(name)}, expected {wanted.get(name)}"
        for name in names
        if found.get(name) != wanted.get(name)
    ]
