"""The broker under the benchmark: the local stack's, started if it does not run and then stopped again."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.bench.common import kafka_io
from deploy.bench.common.child import cpu_s_of
from deploy.local import kafka_client
from deploy.local.kafka import ROLE
from deploy.local.settings import LocalSettings
from deploy.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.local.progress import Progress

_HEAP_MB = 1024


@dataclass(frozen=True, slots=True)
class BenchBroker:
    """A running broker and the prefix below which everything of this run lies.

    `is_tuned_down` tells that it was started for tests (compiler C1 only): its figures mean nothing.
    """

    bootstrap: str
    prefix: str
    is_tuned_down: bool
    pid: int

    def cpu_s(self) -> float:
        """Seconds of CPU it has used so far."""
        return cpu_s_of(self.pid)


@contextmanager
def bench_broker(progress: Progress) -> Iterator[BenchBroker]:
    """The stack's broker; what this run made on it is deleted at the end, and it is stopped if it was not running."""
    settings = LocalSettings()
    if "kafka_heap_mb" not in settings.model_fields_set:
        settings = settings.model_copy(update={"kafka_heap_mb": _HEAP_MB})
    stack = Stack.of(settings, progress)
    was_running = stack.processes.pid(ROLE) is not None
    try:
        with stack.locked():
            stack.kafka.ensure_running()
        pid = stack.processes.pid(ROLE) or 0
        broker = BenchBroker(stack.kafka.bootstrap, f"bench-{secrets.token_hex(4)}.", _is_tuned_down(pid), pid)
        if broker.is_tuned_down:
            progress.say("this broker was started for tests (C1 only): the figures below are no benchmark")
        with _cleaned(broker):
            yield broker
    finally:
        if not was_running:
            stack.processes.stop(ROLE)


@contextmanager
def _cleaned(broker: BenchBroker) -> Iterator[None]:
    try:
        yield
    finally:
        made = {name for name in kafka_client.topic_names(broker.bootstrap) if name.startswith(broker.prefix)}
        kafka_client.delete_topics(broker.bootstrap, made)
        kafka_io.delete_groups(broker.bootstrap, broker.prefix)


def _is_tuned_down(pid: int) -> bool:
    return b"-XX:TieredStopAtLevel=1" in Path(f"/proc/{pid}/cmdline").read_bytes()
