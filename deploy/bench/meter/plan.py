"""How much of everything: the default run, the quick one, the full one."""

from __future__ import annotations

from dataclasses import dataclass

PARTITIONS = 4
PARTS = ("containers", "singles", "replay", "recovery")
SEED = 20260701


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of one run. Rates are counters per second, times seconds.

    `parts` names what to measure, of `PARTS`; containers always are, and recovery comes with latency.
    """

    counters: int = 2_000_000
    single_counters: int = 300_000
    subscriptions_per_partition: int = 250
    counters_per_record: int = 500
    replaced_share: float = 0.1
    rounds: int = 3
    latency_rate: int = 50_000
    latency_lasts_s: float = 20.0
    with_peers: bool = True
    parts: tuple[str, ...] = PARTS
    full_keys: int = 0
    ends_within_s: float = 570.0

    @classmethod
    def quick(cls, counters: int, *, with_peers: bool) -> Plan:
        """Everything once and small: shows that it works, and no figure worth quoting."""
        return cls(
            counters=counters,
            single_counters=max(counters // 10, 1),
            subscriptions_per_partition=min(250, max(counters // 400, 1)),
            rounds=1,
            latency_rate=5_000,
            latency_lasts_s=2.0,
            with_peers=with_peers,
        )
