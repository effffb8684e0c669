"""Growth of the meter's stores in one process, without Kafka: the rate as they grow, and the longest step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deploy.bench.meter.plan import PARTITIONS
from streams.domain.catalog import CatalogView
from streams.store.counters import CounterArrays
from streams.store.partition_store import PartitionStore

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_KEYS = 1_000_000
_STEP = 5_000  # counters: what the meter applies without a pause is some milliseconds' work
_SUBSCRIPTIONS = 250
_PERIOD = (1_783_641_600_000_000, 1_783_645_200_000_000)
_HEX = np.array([list(f"{byte:02x}".encode()) for byte in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class Growth:
    """Counters per second, of processor time, around a million keys and at the end; steps in milliseconds."""

    keys: int
    rate_at_first: float
    rate_at_end: float
    ratio: float
    longest_step_ms: float
    longest_step_cpu_ms: float
    store_bytes_per_key: float


@dataclass(frozen=True, slots=True)
class _Step:
    keys: int
    wall_s: float
    cpu_s: float


def measure_growth(keys: int) -> Growth:
    """Put so many different keys, in turn, into the stores of all partitions."""
    stores = [PartitionStore(seed, CatalogView()) for seed in range(PARTITIONS)]
    # Compiles, or loads what was compiled.
    PartitionStore(0, CatalogView()).apply_arrays(0, _counters(0, 0))
    steps = list(_steps(stores, keys))
    window = max(keys // 20, _STEP)
    first, end = (_rate(steps, around, window) for around in (FIRST_KEYS, keys - window))
    return Growth(
        keys=sum(store.rows.size for store in stores),
        rate_at_first=first,
        rate_at_end=end,
        ratio=end / first,
        longest_step_ms=1e3 * max(step.wall_s for step in steps),
        longest_step_cpu_ms=1e3 * max(step.cpu_s for step in steps),
        store_bytes_per_key=sum(store.used_bytes() for store in stores) / keys,
    )


def _steps(stores: list[PartitionStore], keys: int) -> Iterator[_Step]:
    for number in range(keys // _STEP):
        store, offset = stores[number % len(stores)], number // len(stores)
        counters = _counters(number * _STEP, offset)
        began_at, began_cpu_s = time.perf_counter(), time.thread_time()
        store.apply_arrays(offset, counters)
        cpu_s, wall_s = time.thread_time() - began_cpu_s, time.perf_counter() - began_at
        yield _Step((number + 1) * _STEP, wall_s, cpu_s)


def _rate(steps: list[_Step], around: int, window: int) -> float:
    """Return counters per second of processor time while the stores held about so many keys."""
    inside = [step.cpu_s for step in steps if abs(step.keys - around) <= window]
    return len(inside) * _STEP / sum(inside)


def _counters(first: int, offset: int) -> CounterArrays:
    """Return counters whose keys no others have: 16 hexadecimal digits each."""
    number = np.arange(first, first + _STEP)
    return CounterArrays(
        owners=[("bench", f"sub-{each}") for each in range(_SUBSCRIPTIONS)],
        metrics=["api_calls"],
        periods=[_PERIOD],
        owner=number % _SUBSCRIPTIONS,
        metric=np.zeros(_STEP, np.int64),
        period=np.zeros(_STEP, np.int64),
        keys=_HEX[number.astype(">u8").view(np.uint8)].reshape(-1),
        key_sizes=np.full(_STEP, 16),
        quantity=number + 1,
        wide={},
        revision=np.zeros(_STEP, np.int64),
        source=np.full(_STEP, offset),
    )
