"""The meter killed, paused, robbed of its snapshots and lied to: totals, overage and refusals stay exact."""

from __future__ import annotations

import gc
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.faults.meter_lab import MeterLab, open_lab, running, under_load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.kafka import Broker


pytestmark = [
    pytest.mark.kafka,
    pytest.mark.faults,
    # The test's own client leaves sockets behind when its broker is killed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def lab(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[MeterLab]:
    """Fresh topics on the shared broker."""
    made = open_lab(kafka_bootstrap, topic_prefix, tmp_path)
    yield made
    made.close()
    gc.collect()


def test_kill_at_random_moments(lab: MeterLab) -> None:
    """A handful of power cuts under load, each followed by a start: nothing lost, nothing doubled."""
    worker, moments = lab.worker(), random.Random(1)
    with running(worker):
        with under_load(lab, seed=11):
            for _ in range(4):
                worker.wait_for_more("partition.opened", lab.partitions)
                lab.pass_records(moments.randint(1, 250))
                worker.kill()
                worker.start()
        lab.wait_until_exact()
        assert worker.stop() == 0


def test_all_snapshots_deleted(lab: MeterLab) -> None:
    """The log alone gives the same totals, and what was refused is not refused twice."""
    worker = lab.worker()
    with running(worker):
        with under_load(lab, seed=12):
            worker.wait_for("snapshot.written", times=lab.partitions + 1)
            worker.kill()
            shutil.rmtree(worker.variables["FUSION_METER_DATA_DIR"])
            worker.start()
            lab.pass_records(100)
        lab.wait_until_exact()


def test_damaged_and_old_snapshots(lab: MeterLab) -> None:
    """Cut off, with a flipped bit, or an old copy put back as the newest: each is noticed or harmless."""
    worker = lab.worker()
    with running(worker):
        with under_load(lab, seed=13):
            worker.wait_for("snapshot.written", times=lab.partitions)
            old = {path: path.read_bytes() for path in worker.snapshots()}
            worker.wait_for_more("snapshot.written", 3 * lab.partitions)
            worker.kill()
            for number, path in enumerate(damaged := worker.snapshots()):
                raw = path.read_bytes()
                flipped = raw[:-40] + bytes([raw[-40] ^ 8]) + raw[-39:]
                path.write_bytes(raw[: len(raw) // 2] if number % 2 else flipped)
            worker.start()
            worker.wait_for_more("partition.opened", lab.partitions)
            assert worker.count("snapshot.skipped") == len(damaged)
            lab.pass_records(60)
            worker.kill()
            for path in worker.snapshots():
                path.unlink()
            for path, raw in old.items():
                path.write_bytes(raw)
            worker.start()
            lab.pass_records(60)
        lab.wait_until_exact()


def test_committed_offsets_moved(lab: MeterLab) -> None:
    """What the group has committed is a hint: moved to the start or to the end, nothing is doubled or lost."""
    worker = lab.worker()
    with running(worker):
        with under_load(lab, seed=14):
            worker.wait_for("snapshot.written", times=lab.partitions)
            assert worker.stop() == 0
            lab.pass_records(60)
        lab.wait_for_empty_group()
        ends = lab.end_offsets()
        lab.move_group({partition: end if partition % 2 else 0 for partition, end in ends.items()})
        worker.start()
        lab.wait_until_exact()


def test_a_paused_owner_is_shut_out(lab: MeterLab) -> None:
    """Paused beyond its session, it wakes up to find that another worker has its partitions: its word is void."""
    first, second = lab.worker("meter-a"), lab.worker("meter-b")
    with running(first, may_fail=True):
        with under_load(lab, seed=15):
            first.wait_for("snapshot.written", times=lab.partitions)
            first.pause()
            with running(second, may_fail=True):
                second.wait_for("partition.opened", times=lab.partitions)
                lab.pass_records(60)
                first.resume()
                first.wait_for_more("partition.opened")
                lab.pass_records(100)
                second.kill()
                second.start()
                lab.pass_records(100)
        # The second one is gone for good; the first one has all partitions once its session has ended.
        lab.wait_until_exact()


def test_workers_join_and_leave(lab: MeterLab) -> None:
    """Partitions move between workers politely and by power cut, back and forth."""
    first, second = lab.worker("meter-a"), lab.worker("meter-b")
    with running(first, may_fail=True), running(second, may_fail=True):
        with under_load(lab, seed=16):
            first.wait_for("partition.opened")
            second.wait_for("partition.opened")
            assert second.stop() == 0
            first.wait_for_more("partition.opened")
            second.start()
            second.wait_for_more("partition.opened")
            first.kill()
            lab.pass_records(100)
            first.start()
            lab.pass_records(100)
        lab.wait_until_exact()


def test_the_broker_is_killed_and_comes_back(broker: Broker, tmp_path: Path) -> None:
    """The worker waits for it, or is started again; either way nothing is lost."""
    lab = open_lab(broker.bootstrap, "billing.", tmp_path)
    worker = lab.worker()
    with running(worker, may_fail=True):
        with under_load(lab, seed=17):
            worker.wait_for("snapshot.written", times=lab.partitions)
            for _ in range(2):
                broker.kill()
                broker.start()
                lab.pass_records(100)
        lab.wait_until_exact()
        assert worker.stop() == 0
    lab.close()
    gc.collect()
