"""Power cuts, at random moments and between every two steps, and steps that broker or disk refuse."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING

from tests.faults.failpoints import POINTS, REFUSABLE, REPLAY, START, STOP
from tests.faults.load import under_load
from tests.faults.victim_process import DELIVERY
from tests.faults.workers import running

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.rig import Rig
    from tests.faults.victims import Victim


def kill_at_random_moments(rig: Rig) -> None:
    """Power cuts of the very process that production runs, some of them while it starts."""
    lab, moments = rig.lab, random.Random(rig.lab.seed)
    worker = lab.worker()
    with running(worker):
        worker.wait_for("partition.opened", lab.partitions)
        unjudged = 0
        for _ in range(rig.times):
            with under_load(lab):
                lab.pass_records(moments.choice([1, 10, 100, 200]) + moments.randrange(50))
                worker.kill()
                worker.start()
            unjudged += 1
            if moments.random() < 0.75:
                rig.judge(times=unjudged)
                unjudged = 0
        rig.judge(times=unjudged)
        assert worker.stop() == 0


def kill_at_failpoints(rig: Rig) -> None:
    """A power cut between every two steps: `times` times at each point."""
    lab, moments = rig.lab, random.Random(rig.lab.seed)
    victim = rig.victim()
    with running(victim, may_fail=True):
        victim.wait_for("partition.opened", lab.partitions)
        for point in POINTS:
            for _ in range(rig.times):
                with under_load(lab):
                    lab.pass_records(10)
                    _kill_at(victim, point, moments.randint(1, 4))
                    lab.pass_records(10)
                rig.judge(f"{rig.fault} {point}")


def _kill_at(victim: Victim, point: str, times: int) -> None:
    """Have the victim die at a point; afterwards it, or its successor, is at work again."""
    failures = victim.failures
    if point in START:
        victim.kill()
        victim.arm((point, "kill", min(times, 3)))
        victim.start()
    elif point in STOP:
        victim.arm((point, "kill", min(times, 3)))
        assert victim.stop() == -signal.SIGKILL
        victim.start()
        return
    elif point in REPLAY:
        victim.arm((DELIVERY, "drop", 1), (point, "kill", 1))
    else:
        victim.arm((point, "kill", times))
    victim.wait_until_hit()
    victim.wait_for_restart(failures)


def kill_after_a_snapshot(rig: Rig) -> None:
    """A power cut when a snapshot has just been completed, so that the next start rests on it."""
    lab, victim = rig.lab, rig.victim()
    with running(victim, may_fail=True):
        for _ in range(rig.times):
            with under_load(lab):
                lab.pass_records(60)
                failures = victim.failures
                victim.arm(("snapshot.pruned", "kill", lab.partitions))
                victim.wait_until_hit()
                victim.wait_for_restart(failures)
                lab.pass_records(60)
            rig.judge()


def steps_refused(rig: Rig, points: Iterable[str] = REFUSABLE) -> None:
    """Broker or disk refuse in the middle of something: it is done again, whole, by the same process."""
    lab, victim = rig.lab, rig.victim()
    with running(victim):
        victim.wait_for("partition.opened", lab.partitions)
        for point in points:
            for _ in range(rig.times):
                # The first publication after quiet is the one that is refused; nothing marks its total again.
                victim.arm((point, "fail", 1))
                lab.load.alone()
                for _ in range(20):
                    lab.load.step()
                victim.wait_until_hit()
                rig.judge(f"{rig.fault} {point}")
