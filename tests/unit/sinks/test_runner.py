"""The sinks' loop: what it commits, when it waits, what it drops."""

from collections.abc import Collection, Iterator, Sequence
from typing import cast

import pytest

from schemas.errors import BrokerUnavailable, OdooUnavailable, OwnershipLost
from sinks.health import Health
from sinks.kafka_client import GroupConsumer, Record
from sinks.metrics import Sink as SinkName
from sinks.runner import Runner
from tests.unit.sinks.fakes import FakeConsumer, record


class RecordingSink:
    """Settles one record per step, unless it is away."""

    name: SinkName = "odoo"

    def __init__(self, consumer: FakeConsumer) -> None:
        self.consumer = consumer
        self.written: list[tuple[int, int]] = []
        self.away_from: int | None = None
        self.revoke_after: int | None = None

    def write(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Settle record by record."""
        for one in records:
            if self.away_from is not None and one.offset >= self.away_from:
                raise OdooUnavailable("away")
            self.written.append((one.partition, one.offset))
            if one.offset == self.revoke_after:
                self.consumer.revoked = {1}
            yield [one]


class Clock:
    """A clock the test turns."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def consumer() -> FakeConsumer:
    """Return a consumer with two partitions' records in one poll."""
    consumer = FakeConsumer()
    consumer.polls = [[record(b"", offset, partition) for partition in (0, 1) for offset in (1, 2, 3)]]
    return consumer


@pytest.fixture
def sink(consumer: FakeConsumer) -> RecordingSink:
    """Return a sink that works."""
    return RecordingSink(consumer)


@pytest.fixture
def clock() -> Clock:
    """Return a clock at zero."""
    return Clock()


@pytest.fixture
def health() -> Health:
    """Return a started role's health."""
    health = Health()
    health.note("starting", works=True)
    return health


@pytest.fixture
def runner(consumer: FakeConsumer, sink: RecordingSink, clock: Clock, health: Health) -> Runner:
    """Return a runner over both."""
    return Runner(cast("GroupConsumer", consumer), sink, health, clock)


def test_all_that_was_written_is_committed(runner: Runner, consumer: FakeConsumer) -> None:
    """The offset after the last record of each partition."""
    runner.run_once()
    assert consumer.committed == {0: 4, 1: 4}


def test_a_neighbour_away_pauses_and_loses_nothing(
    runner: Runner, consumer: FakeConsumer, sink: RecordingSink, clock: Clock, health: Health
) -> None:
    """The settled prefix is committed, the rest waits its back-off, is written once and committed."""
    sink.away_from = 3
    runner.run_once()
    assert consumer.committed == {0: 3, 1: 1}
    assert not health.is_ready()
    runner.run_once()
    assert consumer.is_paused
    assert sink.written == [(0, 1), (0, 2)]
    sink.away_from = None
    clock.now_s += 1.0
    runner.run_once()
    assert not consumer.is_paused
    assert health.is_ready()
    assert sorted(sink.written) == [(partition, offset) for partition in (0, 1) for offset in (1, 2, 3)]
    assert consumer.committed == {0: 4, 1: 4}


def test_a_partition_revoked_in_mid_batch_is_dropped(
    runner: Runner, consumer: FakeConsumer, sink: RecordingSink
) -> None:
    """Its unwritten records are left to the new owner and nothing of it is committed."""
    sink.revoke_after = 2
    runner.run_once()
    runner.run_once()
    assert sink.written == [(0, 1), (0, 2), (0, 3)]
    assert consumer.committed == {0: 4}


def test_who_remembers_hears_of_a_lost_partition_before_its_records_come_again(
    consumer: FakeConsumer, sink: RecordingSink
) -> None:
    """Also of one that came back meanwhile: another sink may have written."""
    heard: list[tuple[set[int], int]] = []

    def forget(partitions: Collection[int]) -> None:
        heard.append((set(partitions), len(sink.written)))

    runner = Runner(cast("GroupConsumer", consumer), sink, Health(), Clock(), on_revoked=forget)
    runner.run_once()
    consumer.polls = [[record(b"", 1, 1)]]
    consumer.revoked = {1}
    runner.run_once()
    assert heard == [({1}, 6)]
    assert sink.written[6:] == [(1, 1)]


def test_a_commit_that_could_not_be_stored_is_tried_again(runner: Runner, consumer: FakeConsumer) -> None:
    """The next turn commits it, also without new records."""
    consumer.commit_failure = BrokerUnavailable("away")
    runner.run_once()
    assert consumer.committed == {}
    consumer.commit_failure = None
    runner.run_once()
    assert consumer.committed == {0: 4, 1: 4}


def test_a_commit_after_the_group_moved_on_is_no_failure(runner: Runner, consumer: FakeConsumer) -> None:
    """The new owner repeats the rows, which changes nothing."""
    consumer.commit_failure = OwnershipLost("rebalanced")
    runner.run_once()
    consumer.revoked = {0, 1}
    runner.run_once()
    assert consumer.committed == {}
