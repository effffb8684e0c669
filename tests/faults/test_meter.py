"""The meter killed, paused, robbed of its snapshots and lied to: totals, overage and refusals stay exact.

Each test is a scenario, done a few times by default and often with `--faults-long`; see `scenarios/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.meter_lab import MeterLab, open_lab
from tests.faults.rig import Case, Rig
from tests.faults.scenarios import group, snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.fault_table import FaultTable
    from tests.stack.kafka import Broker


pytestmark = [pytest.mark.kafka, pytest.mark.faults]


CASES = [
    Case("all snapshots deleted", snapshots.all_snapshots_deleted, 1, 10),
    Case("an old snapshot put back", snapshots.an_old_copy_put_back, 1, 10),
    Case("snapshots cut off or with flipped bits", snapshots.damaged_snapshots, 2, 20),
    Case("committed offsets set back and ahead", group.committed_offsets_moved, 1, 10),
    Case("owner paused until it lost its partitions", group.a_paused_owner_is_shut_out, 1, 5),
    Case("workers join and leave", group.workers_join_and_leave, 1, 10),
    Case("records skipped, repeated, reversed", group.faust_skips_and_repeats, 1, 20),
    Case("duplicates, reordered, across batches", group.duplicates_across_batches, 1, 20),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.scenario.__name__)
def test_stays_exact(case: Case, lab: MeterLab, is_long: bool, fault_table: FaultTable) -> None:
    """Whatever is done to it, what it has published when quiet is the model's, for a cold reader, too."""
    case.run(lab, fault_table, is_long=is_long)


def test_stays_exact_when_the_broker_is_killed(
    broker: Broker, tmp_path: Path, is_long: bool, fault_table: FaultTable
) -> None:
    """The worker waits for it, or is started again; either way nothing is lost."""
    with open_lab(broker.bootstrap, "billing.", tmp_path) as lab:
        group.the_broker_is_killed(Rig(lab, "broker killed", 10 if is_long else 2, fault_table), broker)
