"""The continuous audit inside a meter: one partition after the other, replayed in a process of its own.

It changes nothing. What it finds goes to the metrics and, loudly, to the log; a difference counts as drift when a
second audit, of a new image, finds it as well.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
import structlog

from schemas.settings import Settings
from streams import metrics
from streams.audit import live_image
from streams.audit.live_image import LENGTH_BYTES, Comparison, Difference, Image, framed
from streams.domain.catalog import CatalogView
from streams.store.partition_store import PartitionStore

_NAMED_MAX = 20  # of a partition's differing aggregates; a log must not be flooded

log = structlog.get_logger()


class AuditFailed(Exception):
    """The audit's process ended without an answer."""


@dataclass(slots=True)
class ContinuousAudit:
    """Audits the stores that `stores` gives, by partition, round after round."""

    settings: Settings
    partitions: int
    catalog: CatalogView
    stores: Callable[[], Mapping[int, PartitionStore]]
    _labelled: set[int] = field(default_factory=set)

    async def run(self) -> None:
        """Work until cancelled; a failed audit is logged and tried again in the next round."""
        while True:
            await asyncio.sleep(self.settings.meter_audit_s)
            try:
                async with Auditor.started() as auditor:
                    for partition in sorted(self.stores()):
                        await self._audit(partition, auditor)
            except (OSError, AuditFailed, msgspec.DecodeError) as error:
                log.warning("audit.failed", error=str(error))
            self._forget(self._labelled - self.stores().keys())

    async def _audit(self, partition: int, auditor: "Auditor") -> None:
        began_s = time.monotonic()
        found = await self._look(partition, auditor)
        if found is None:
            return
        drift = found.drift
        if drift:
            # A catalog record that was compacted away, or a catalog that moved on: the next image tells.
            again = await self._look(partition, auditor)
            seen = {each.key for each in drift}
            drift = [each for each in again.drift if each.key in seen] if again else []
        self._report(partition, found, drift, time.monotonic() - began_s)

    async def _look(self, partition: int, auditor: "Auditor") -> Comparison | None:
        store = self.stores().get(partition)
        if store is None or not len(store.aggregates) or store.outdated() or store.closed.is_torn:
            return None
        image = live_image.take(partition, self.partitions, store, self.catalog.next_offset)
        return await auditor.compare(image)

    def _report(self, partition: int, found: Comparison, drift: list[Difference], duration_s: float) -> None:
        self._labelled.add(partition)
        metrics.AUDIT_DRIFT.labels(partition).set(len(drift))
        metrics.AUDIT_COMPARED.inc(found.compared)
        metrics.AUDIT_COMPLETED.set_to_current_time()
        for each in drift[:_NAMED_MAX]:
            log.error("audit.drift", partition=partition, key=each.key, expected=each.expected, found=each.found)
        log.info(
            "audit.completed",
            partition=partition,
            compared=found.compared,
            beyond=found.beyond,
            drift=len(drift),
            duration_s=round(duration_s, 2),
        )

    def _forget(self, partitions: Iterable[int]) -> None:
        """Let go of partitions that are somebody else's now: their last word here must not stand for ever."""
        for partition in list(partitions):
            metrics.AUDIT_DRIFT.remove(partition)
            self._labelled.discard(partition)


@dataclass(slots=True)
class Auditor:
    """The audit's own process, for one round: it costs seconds of a core to start."""

    _process: asyncio.subprocess.Process

    @classmethod
    @asynccontextmanager
    async def started(cls) -> AsyncIterator["Auditor"]:
        """Yield an auditor whose process has ended afterwards."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streams.audit.process", stdin=pipe, stdout=pipe
        )
        try:
            yield cls(process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def compare(self, image: Image) -> Comparison:
        """Return what a replay says of an image.

        Raises:
            AuditFailed: the process ended without an answer; it said why on standard error.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise AuditFailed("its process has no pipes")
        try:
            self._process.stdin.write(await asyncio.to_thread(framed, image))
            await self._process.stdin.drain()
            length = int.from_bytes(await self._process.stdout.readexactly(LENGTH_BYTES))
            return msgspec.msgpack.decode(await self._process.stdout.readexactly(length), type=Comparison)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise AuditFailed("its process ended without an answer") from error
