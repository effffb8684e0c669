"""An audit of what Odoo holds of one partition's overage, and of what lines.v1 says it holds."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from schemas.derived import Line, Overage
from schemas.odoo_held import HeldUsage
from schemas.odoo_rpc import OdooBilling
from schemas.topics import LINES
from streams.audit.judging import Finding, Outcome, Report
from streams.audit.odoo import Age, judge_held, judge_line
from streams.audit.reading import Books
from streams.audit.topics import Held, Progress, Published

_KEYS_PER_CALL = 200
_SECOND_LOOK_AFTER_S = 2.0


@dataclass(slots=True)
class OdooAudit:
    """Compares overage with `lines.v1` and, where `odoo` is given, with Odoo itself."""

    books: Books
    overages: Published[Overage]
    odoo: OdooBilling | None
    progress: Progress
    lines: Published[Line] = field(init=False)

    def __post_init__(self) -> None:
        is_wanted = self.overages.is_wanted
        self.lines = Published(LINES, self.books.reader(LINES), Line.model_validate_json, is_wanted)

    async def run(self) -> Report:
        """Compare all overage that the audit before has read; what differs is looked at twice."""
        report = Report()
        differing = await self._look(report, list(self.overages.held), is_last=False)
        if differing:
            await asyncio.sleep(_SECOND_LOOK_AFTER_S)
            await self.overages.refresh(self.progress)
            await self._look(report, differing, is_last=True)
        return report

    async def _look(self, report: Report, keys: list[str], *, is_last: bool) -> list[str]:
        """Note what these keys come to; unless it is the last look, return those to be looked at again instead."""
        # Offsets first: what the sink has committed is in lines.v1 and in Odoo by the time that these are read.
        written = await self.books.written_up_to()
        await self.lines.refresh(self.progress)
        again = []
        rest = iter(keys)
        while chunk := list(islice(rest, _KEYS_PER_CALL)):
            known = {} if self.odoo is None else await asyncio.to_thread(self._read, chunk)
            for key in chunk:
                held = self.overages.held[key]
                age = Age(is_written=held.offset < written.get(held.partition, 0))
                findings = list(self._judge(held, known.get(key), age))
                if not is_last and any(each.outcome in (Outcome.DRIFT, Outcome.PENDING) for each in findings):
                    again.append(key)
                    continue
                for finding in findings:
                    report.note(finding)
            self.progress("Odoo", len(chunk), len(keys))
        return again

    def _judge(self, held: Held[Overage], known: HeldUsage | None, age: Age) -> Iterator[Finding]:
        finding = judge_line(held.record, self.lines.get(held.record.key), age)
        yield self.lines.findings.get(held.record.key, finding)
        if self.odoo is not None:
            yield from judge_held(held.record, known, age)

    def _read(self, keys: list[str]) -> dict[str, HeldUsage]:
        if self.odoo is None:
            return {}
        return {held["key"]: held for held in self.odoo.read_lines(keys=keys)}
