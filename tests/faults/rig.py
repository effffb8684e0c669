"""What a scenario works with: a lab, how often to do its harm, and where the verdicts go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.meter_lab import MeterLab
    from tests.faults.victims import Victim
    from tests.stack.fault_table import FaultTable


@dataclass(frozen=True, slots=True)
class Rig:
    """A lab, how often to do which harm, and what kind of meter to do it to."""

    lab: MeterLab
    fault: str
    times: int
    table: FaultTable
    mutant: str | None = None

    def victim(self, name: str = "meter-0", **settings: str) -> Victim:
        """A meter, with the planted bug if there is one."""
        return self.lab.victim(name, self.mutant, **settings)

    def judge(self, fault: str | None = None, times: int = 1) -> None:
        """Wait until the meter has nothing left to say and note how exact that is; it must be, without a mutant."""
        verdict = self.lab.verdict_when_quiet()
        row = self.table.row(fault or self.fault)
        row.times += times
        row.lost += verdict.lost
        row.doubled += verdict.doubled
        if self.mutant is None:
            verdict.require()


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario that a sound meter survives, and how often it is done in the short and in the long set."""

    fault: str
    scenario: Callable[[Rig], None]
    short: int
    long: int

    def run(self, lab: MeterLab, table: FaultTable, *, is_long: bool) -> None:
        """Do it."""
        self.scenario(Rig(lab, self.fault, self.long if is_long else self.short, table))
