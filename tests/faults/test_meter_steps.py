"""The meter killed at random moments and between every two steps, and refused in the middle: it stays exact."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from deploy.local.settings import REPOSITORY
from tests.faults.failpoints import POINTS
from tests.faults.rig import Case
from tests.faults.scenarios import crashes

if TYPE_CHECKING:
    from tests.faults.meter_lab import MeterLab
    from tests.stack.fault_table import FaultTable

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.faults,
    # A kill and a start at each of the failpoints: minutes on a busy machine, a quarter of an hour in the long set.
    pytest.mark.timeout(1800),
]

CASES = [
    Case("kill -9 at a random moment", crashes.kill_at_random_moments, 2, 50),
    Case("kill -9 at", crashes.kill_at_failpoints, 1, 4),
    Case("kill -9 after a snapshot", crashes.kill_after_a_snapshot, 1, 10),
    Case("refused:", crashes.steps_refused, 1, 5),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.scenario.__name__)
def test_stays_exact(case: Case, lab: MeterLab, is_long: bool, fault_table: FaultTable) -> None:
    """Whatever is done to it, what it has published when quiet is the model's, for a cold reader, too."""
    case.run(lab, fault_table, is_long=is_long)


def test_every_failpoint_is_killed_at() -> None:
    """A failpoint that is added to the meter is added to the list of those it is killed at."""
    named: set[str] = set()
    for path in (REPOSITORY / "streams").rglob("*.py"):
        named |= set(re.findall(r"failpoint\(\"([a-z._]+)\"\)", path.read_text()))
    assert named == set(POINTS)
