"""Bytewax doing the meter's job: dedupe by key, last value wins, sum per subscription, publish changed totals.

State is a dict per subscription in memory; recovery is on, with Bytewax's default epoch of 10 s. Decoding is typed
msgspec, a changed total goes out at most once a second. Two forms: an item per counter, or an item per subscription and
fetch, which leaves the engine little to do and the work to two plain Python loops.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

if TYPE_CHECKING:
    from collections.abc import Iterable

_PUBLISH_EVERY = timedelta(seconds=1)  # the meter's default flush interval
_Pair = tuple[str, int]


class _Columns(msgspec.Struct, gc=False):
    subscriptions: list[str]
    subscription: list[int]
    keys: list[str]
    quantities: list[int]


class _Counter(msgspec.Struct, gc=False):
    subscription: str
    idempotency_key: str
    quantity: int


class _Batch(msgspec.Struct, gc=False):
    columns: _Columns | None = None
    counters: list[_Counter] = []


_decode = msgspec.json.Decoder(_Batch).decode


class Clock:
    """When the first counter was seen and the last one applied, seconds since 1970."""

    began_at = 0.0
    applied_at = 0.0


def to_counters(messages: list[Any]) -> list[tuple[str, _Pair]]:
    """Decode the records of one fetch into one item per counter: the plain way to write this flow."""
    Clock.began_at = Clock.began_at or time.time()
    items: list[tuple[str, _Pair]] = []
    for message in messages:
        batch = _decode(message.value)
        items += [(each.subscription, (each.idempotency_key, each.quantity)) for each in batch.counters]
        if batch.columns is not None:
            names, columns = batch.columns.subscriptions, batch.columns
            rows = zip(columns.subscription, columns.keys, columns.quantities, strict=True)
            items += [(names[number], (key, quantity)) for number, key, quantity in rows]
    return items


def to_groups(messages: list[Any]) -> list[tuple[str, list[_Pair]]]:
    """Decode the records of one fetch into one item per subscription: fewer crossings into the engine."""
    Clock.began_at = Clock.began_at or time.time()
    groups: dict[str, list[_Pair]] = {}
    for message in messages:
        batch = _decode(message.value)
        for counter in batch.counters:
            groups.setdefault(counter.subscription, []).append((counter.idempotency_key, counter.quantity))
        if batch.columns is not None:
            columns = batch.columns
            pairs = [groups.setdefault(name, []) for name in columns.subscriptions]
            for number, key, quantity in zip(columns.subscription, columns.keys, columns.quantities, strict=True):
                pairs[number].append((key, quantity))
    return list(groups.items())


class _State(StatefulBatchLogic):  # type: ignore[misc]
    """One subscription: the last value of each key, their sum, and when it is due to be published."""

    def __init__(self, state: tuple[dict[str, int], int] | None) -> None:
        self.values, self.sum = state or ({}, 0)
        self.due: datetime | None = None

    def on_notify(self) -> tuple[list[tuple[int, int]], bool]:
        """Publish when due."""
        return self._publish()

    def on_eof(self) -> tuple[list[tuple[int, int]], bool]:
        """Publish at the end of the topic."""
        return self._publish()

    def notify_at(self) -> datetime | None:
        """When the total is due."""
        return self.due

    def snapshot(self) -> tuple[dict[str, int], int]:
        """A copy of the state, which goes on changing."""
        return dict(self.values), self.sum

    def _apply(self, pairs: Iterable[_Pair]) -> tuple[list[tuple[int, int]], bool]:
        known, total = self.values, self.sum
        for key, quantity in pairs:
            total += quantity - known.get(key, 0)
            known[key] = quantity
        self.sum = total
        if self.due is None:
            self.due = datetime.now(UTC) + _PUBLISH_EVERY
        Clock.applied_at = time.time()
        return [], StatefulBatchLogic.RETAIN

    def _publish(self) -> tuple[list[tuple[int, int]], bool]:
        self.due = None
        return [(self.sum, len(self.values))], StatefulBatchLogic.RETAIN


class Total(_State):
    """A subscription's total, fed counter by counter."""

    def on_batch(self, values: list[_Pair]) -> tuple[list[tuple[int, int]], bool]:
        """Apply counters; the total is due a moment later."""
        return self._apply(values)


class TotalOfGroups(_State):
    """A subscription's total, fed groups of counters."""

    def on_batch(self, values: list[list[_Pair]]) -> tuple[list[tuple[int, int]], bool]:
        """Apply groups as one sequence of counters."""
        return self._apply(chain.from_iterable(values))


def to_message(total: tuple[str, tuple[int, int]]) -> KafkaSinkMessage[bytes, bytes]:
    """A total as a record of the peers' common form."""
    name, (quantity, keys) = total
    return KafkaSinkMessage(name.encode(), msgspec.json.encode({"sum": quantity, "keys": keys}))


def flow(options: argparse.Namespace) -> Dataflow:
    """Kafka → items → totals → Kafka; ends at the end of the topic."""
    dataflow = Dataflow("bench")
    source = KafkaSource([options.bootstrap], [options.topic], tail=False, batch_size=options.source_batch)
    records = op.input("usage", dataflow, source)
    decode, total = (to_groups, TotalOfGroups) if options.items == "groups" else (to_counters, Total)
    totals = op.stateful_batch("total", op.flat_map_batch("decode", records, decode), total)
    op.output("totals", op.map("encode", totals, to_message), KafkaSink([options.bootstrap], options.totals))
    return dataflow


def main() -> None:
    """Run once over the topic and write the report."""
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "topic", "totals", "application", "state", "report"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--counters", type=int, required=True)
    parser.add_argument("--epoch-s", type=float, default=10, help="between two snapshots")
    parser.add_argument("--items", choices=("counters", "groups"), default="counters", help="what flows to the totals")
    parser.add_argument("--source-batch", type=int, default=1000, help="records of one fetch")
    options = parser.parse_args()
    state = Path(options.state)
    state.mkdir(parents=True)
    init_db_dir(state, 1)
    epoch = timedelta(seconds=options.epoch_s)
    cli_main(flow(options), epoch_interval=epoch, recovery_config=RecoveryConfig(str(state)))
    times = {"began_at": Clock.began_at, "applied_at": Clock.applied_at, "durable_at": time.time()}
    Path(options.report).write_text(json.dumps(times))


if __name__ == "__main__":
    main()
