"""The fault set is itself tested: with a bug planted into the meter, the scenario that should find it goes red."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from deploy.local.settings import REPOSITORY
from tests.faults.mutants import MUTANTS
from tests.faults.rig import Rig
from tests.faults.scenarios import crashes, group

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.meter_lab import MeterLab
    from tests.stack.fault_table import FaultTable

pytestmark = [pytest.mark.kafka, pytest.mark.faults]


@dataclass(frozen=True, slots=True)
class Hunt:
    """A planted bug, the scenario that finds it, and what it finds."""

    mutant: str
    scenario: Callable[[Rig], None]
    finds_doubled: bool = False
    is_slow: bool = False
    times: int = 1


HUNTS = [
    # Its records take their time, so that a snapshot falls between noting and applying.
    Hunt("acknowledge before apply", crashes.kill_after_a_snapshot, is_slow=True, times=2),
    Hunt("clear before acknowledgement", partial(crashes.steps_refused, points=["transaction.sent"])),
    Hunt("snapshot with the next offset", crashes.kill_after_a_snapshot),
    Hunt("no gap check", partial(group.faust_skips_and_repeats, actions=["drop"])),
    # A session has to end before another worker can take over.
    Hunt("no fencing", group.a_paused_owner_is_shut_out, is_slow=True),
    Hunt("replacement adds", group.duplicates_across_batches, finds_doubled=True),
]


@pytest.mark.parametrize("hunt", HUNTS, ids=lambda hunt: hunt.mutant)
def test_a_planted_bug_is_found(hunt: Hunt, lab: MeterLab, is_long: bool, fault_table: FaultTable) -> None:
    """The same scenario that a sound meter survives loses or doubles something here."""
    if hunt.is_slow and not is_long:
        pytest.skip("takes half a minute; part of ./deploy/test --faults")
    fault = f"planted: {hunt.mutant}"
    hunt.scenario(Rig(lab, fault, hunt.times, fault_table, hunt.mutant))
    rows = fault_table.rows
    for row in rows:
        row.note = "(must not be zero)"
    assert sum(row.doubled if hunt.finds_doubled else row.lost for row in rows) > 0, "the planted bug was not found"


def test_every_planted_bug_is_hunted() -> None:
    """No mutant without a scenario that finds it."""
    assert {hunt.mutant for hunt in HUNTS} == MUTANTS.keys()


def test_every_planted_bug_finds_its_place() -> None:
    """A change of the meter that a mutant has not followed shows here, not only in the long set."""
    program = "from tests.faults.mutants import MUTANTS\nfor plant in MUTANTS.values(): plant()"
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)
