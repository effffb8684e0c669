"""Trouble with what feeds the meter: the group, its offsets, what it delivers, and the broker."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.faults.load import under_load
from tests.faults.victim_process import DELIVERY
from tests.faults.workers import running

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.rig import Rig
    from tests.stack.kafka import Broker


def committed_offsets_moved(rig: Rig) -> None:
    """What the group has committed is a hint: moved to the start or to the end, nothing is doubled or lost."""
    lab, chance, victim = rig.lab, random.Random(rig.lab.seed), rig.victim()
    with running(victim):
        for _ in range(rig.times):
            with under_load(lab):
                victim.wait_for_more("snapshot.written", lab.partitions)
                assert victim.stop() == 0
                lab.pass_records(60)
            lab.wait_for_empty_group()
            ends = lab.end_offsets()
            lab.move_group({partition: chance.choice([0, end // 2, end]) for partition, end in ends.items()})
            victim.start()
            rig.judge()


def a_paused_owner_is_shut_out(rig: Rig) -> None:
    """Paused with older values in its hands until another worker has its partitions: its word is void."""
    lab, first, second = rig.lab, rig.victim("meter-a"), rig.victim("meter-b")
    for _ in range(rig.times):
        with ExitStack() as at_work:
            at_work.enter_context(running(first, may_fail=True))
            with under_load(lab):
                first.wait_for_more("snapshot.written", lab.partitions)
                first.arm(("publish.derived", "stop", 1))
                first.wait_until_hit()
                opened = second.count("partition.opened")
                at_work.enter_context(running(second, may_fail=True))
                second.wait_for("partition.opened", opened + lab.partitions)
                lab.pass_records(100)
            lab.wait_until_quiet()
            # The new owner's values are out. If the old one still gets its own out, that is the last it does.
            first.arm(("transaction.committed", "kill", 1))
            first.let_go()
            first.resume()
            first.wait_for_end()
            first.disarm()
            rig.judge()


def workers_join_and_leave(rig: Rig) -> None:
    """Partitions move between workers politely and by power cut, back and forth."""
    lab, first, second = rig.lab, rig.victim("meter-a"), rig.victim("meter-b")
    with running(first, may_fail=True), running(second, may_fail=True):
        first.wait_for("partition.opened")
        second.wait_for("partition.opened")
        for _ in range(rig.times):
            with under_load(lab):
                assert second.stop() == 0
                first.wait_for_more("partition.opened")
                second.start()
                second.wait_for_more("partition.opened")
                first.kill()
                lab.pass_records(60)
                first.start()
                lab.pass_records(60)
            rig.judge()


def the_broker_is_killed(rig: Rig, broker: Broker) -> None:
    """The worker waits for it, or is started again; either way nothing is lost."""
    lab, victim = rig.lab, rig.victim()
    with running(victim, may_fail=True):
        victim.wait_for("partition.opened", times=lab.partitions)
        for _ in range(rig.times):
            with under_load(lab):
                lab.pass_records(30)
                broker.kill()
                broker.start()
                lab.pass_records(60)
            rig.judge()
        assert victim.stop() == 0


def faust_skips_and_repeats(rig: Rig, actions: Iterable[str] = ("drop", "repeat", "reverse")) -> None:
    """Records do not come as the log has them: some are skipped, some come twice, some in reverse."""
    lab, victim = rig.lab, rig.victim()
    with running(victim):
        for _ in range(rig.times):
            for action in actions:
                with under_load(lab):
                    lab.pass_records(20)
                    victim.arm((DELIVERY, action, 2))
                    victim.wait_until_hit()
                    lab.pass_records(20)
                rig.judge()


def duplicates_across_batches(rig: Rig) -> None:
    """Every record of a while comes again, twice, in another order and cut into other batches."""
    lab = rig.lab
    with running(rig.victim()):
        for _ in range(rig.times):
            with under_load(lab):
                lab.pass_records(100)
            for _ in range(2):
                lab.load.send_again(300)
            rig.judge()
