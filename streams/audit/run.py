"""An audit of one partition: replay its log, read what is published, judge, look once more at what differs."""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import nlargest
from typing import TypeVar

from schemas.derived import Overage, Total
from schemas.errors import ConfigurationError
from schemas.odoo_rpc import OdooBilling
from schemas.settings import Settings
from schemas.topics import OVERAGE, TOTALS
from streams.audit.judging import Finding, Horizon, Outcome, Report, Where, judge_overage, judge_total
from streams.audit.odoo_run import OdooAudit
from streams.audit.reading import Books
from streams.audit.replay import Expected, Place, Replay, billed_by
from streams.audit.topics import Progress, Published, is_of_partition
from streams.store.partition_store import PartitionStore

_WATCHED_MAX = 512  # of the youngest published ages; only what changes all the time is that young
_SECOND_LOOK_AFTER_S = 1.0
_NOTHING = Expected()


@dataclass(slots=True)
class PartitionAudit:
    """Audits partition `partition` of the usage log against totals.v1 and overage.v1.

    After `run`, `overages` is what was found of the partition's overage, for whoever compares on.
    """

    settings: Settings
    partition: int
    partitions: int
    books: Books
    progress: Progress
    totals: Published[Total] = field(init=False)
    overages: Published[Overage] = field(init=False)
    _expected: dict[str, tuple[Expected, ...]] = field(default_factory=dict)
    _of_total: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        is_wanted = is_of_partition(self.partition, self.partitions)
        self.totals = Published(TOTALS, self.books.reader(TOTALS), Total.model_validate_json, is_wanted)
        self.overages = Published(OVERAGE, self.books.reader(OVERAGE), Overage.model_validate_json, is_wanted)

    async def run(self) -> Report:
        """Compare everything of the partition and return what came of it."""
        # The order matters: what is published up to the claim must be in the topics, and what the topics hold must be
        # in the log, when each is read after the one before.
        published = (await self.books.published_up_to()).get(self.partition, 0)
        await self.books.read_catalog()
        await self._read_topics()
        first, end = await self.books.bounds(self.partition)
        replay = await self._replay(first, end)
        starts_at = None if replay.starts_at_ms is None else datetime.fromtimestamp(replay.starts_at_ms / 1000, UTC)
        horizon = Horizon(
            epoch=self.settings.usage_epoch,
            first=first,
            end=end,
            log_end=end,
            published=published,
            catalog_offset=self.books.catalog.next_offset,
            starts_at=starts_at,
        )
        report = self._first_look(replay, horizon)
        if self._expected:
            await self._second_look(report, horizon)
        return report

    async def _read_topics(self) -> None:
        await self.totals.refresh(self.progress)
        await self.overages.refresh(self.progress)
        self._of_total = {}
        for key, held in self.overages.held.items():
            self._of_total.setdefault(held.record.total_key, set()).add(key)

    async def _replay(self, first: int, end: int) -> Replay:
        store = PartitionStore(secrets.randbits(64), self.books.catalog)
        store.applied_offset = first - 1
        store.published.billed = billed_by(
            (held.record for held in self.totals.held.values()), (held.record for held in self.overages.held.values())
        )
        place = Place(self.partition, self.partitions, self.settings.usage_epoch)
        replay = Replay(place, store, self.books.catalog, self._watched())
        async with aclosing(self.books.usage(self.partition, first, end)) as runs:
            async for run in runs:
                replay.feed(run)
        return replay

    def _watched(self) -> dict[int, list[Total]]:
        by_age: dict[int, list[Total]] = {}
        for held in self.totals.held.values():
            by_age.setdefault(held.record.version.source_offset, []).append(held.record)
        return {age: by_age[age] for age in nlargest(_WATCHED_MAX, by_age)}

    def _first_look(self, replay: Replay, horizon: Horizon) -> Report:
        """Judge everything; what differs is kept for the second look, with what it should be."""
        report, seen = Report(), set()
        for name, last in replay.expected():
            seen.add(name)
            captured = replay.captured.get(name)
            self._look(report, name, (last,) if captured is None else (captured, last), horizon)
        for name in (self.totals.held.keys() | self.totals.findings.keys() | self._of_total.keys()) - seen:
            self._look(report, name, (_NOTHING,), horizon)
        return report

    def _look(self, report: Report, name: str, candidates: tuple[Expected, ...], horizon: Horizon) -> None:
        findings = list(self._judge(name, candidates, horizon))
        if any(finding.outcome in (Outcome.DRIFT, Outcome.PENDING) for finding in findings):
            self._expected[name] = candidates
        else:
            for finding in findings:
                report.note(finding)

    async def _second_look(self, report: Report, horizon: Horizon) -> None:
        """Judge once more what differed: what was on its way has arrived, and damage is still there."""
        await asyncio.sleep(self.settings.meter_flush_s + _SECOND_LOOK_AFTER_S)
        await self._read_topics()
        _, log_end = await self.books.bounds(self.partition)
        horizon = replace(horizon, log_end=log_end)
        for name, candidates in self._expected.items():
            for finding in self._judge(name, candidates, horizon):
                report.note(finding)

    def _judge(self, name: str, candidates: tuple[Expected, ...], horizon: Horizon) -> Iterable[Finding]:
        """Yield the comparisons of one total and of the overage on it."""
        found = self.totals.get(name)
        if found is not None and self.books.catalog.metric(found.service, found.metric) is None:
            yield Finding(Where.TOTALS, name, Outcome.BEYOND, "", "", "the catalog does not know its metric any more")
            return
        if found is not None or name in self.totals.findings or any(each.total for each in candidates):
            finding = judge_total(name, _of_age([each.total for each in candidates], found), found, horizon)
            yield self.totals.findings.get(name, finding)
        keys = self._of_total.get(name, set()).union(*(each.overages for each in candidates))
        for key in sorted(keys):
            rated = self.overages.get(key)
            expected = _of_age([each.overages.get(key) for each in candidates], rated)
            finding = judge_overage(key, expected, rated, horizon)
            yield self.overages.findings.get(key, finding)


_Derived = TypeVar("_Derived", Total, Overage)


def _of_age(candidates: Sequence[_Derived | None], found: _Derived | None) -> _Derived | None:
    """Return the value that has the age of what was found; else the last one."""
    for each in candidates:
        if each is not None and found is not None and each.version.source_offset == found.version.source_offset:
            return each
    return candidates[-1]


@dataclass(frozen=True, slots=True)
class Scope:
    """What to audit: partitions of the usage log, null for all; whether lines.v1, too; and Odoo, where it is given."""

    partitions: Sequence[int] | None = None
    with_lines: bool = True
    odoo: OdooBilling | None = None


async def audit(settings: Settings, scope: Scope, progress: Progress) -> Report:
    """Audit one partition after the other.

    Raises:
        ConfigurationError: there is no such partition, or no usage topic.
    """
    books, report = Books(settings, progress), Report()
    try:
        count = await books.partitions()
        for partition in sorted(set(range(count) if scope.partitions is None else scope.partitions)):
            if not 0 <= partition < count:
                raise ConfigurationError(f"there is no partition {partition}: the usage topic has {count}, from 0")
            of_meter = PartitionAudit(settings, partition, count, books, progress)
            report.merge(await of_meter.run())
            if scope.with_lines:
                report.merge(await OdooAudit(books, of_meter.overages, scope.odoo, progress).run())
    finally:
        await books.close()
    return report
