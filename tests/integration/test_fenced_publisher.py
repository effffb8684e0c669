"""Publishing under a name that one process holds at a time, on a real broker."""

import time

import pytest

from producers.kafka_client import FencedPublisher, ProducerLimits, Record
from producers.kafka_client.history import read_to_end
from schemas.errors import BrokerUnavailable, OwnershipLost
from schemas.settings import Settings, load
from tests.stack.kafka import Broker
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.kafka

TOPIC = "fenced"
LIMITS = ProducerLimits(ack_timeout_s=3.0)
ENDS_WITHIN_S = 30.0


def records_of(label: str, count: int = 3) -> list[Record]:
    """Return records of one key that tell their order."""
    return [Record(TOPIC, f"{label}-{number}".encode(), key=b"key") for number in range(count)]


def open_soon(settings: Settings) -> FencedPublisher:
    """Open the name as soon as the broker lets it."""

    def attempt() -> FencedPublisher:
        try:
            return FencedPublisher(settings, "name", LIMITS)
        except BrokerUnavailable as error:
            raise AssertionError(str(error)) from error

    return wait_until(attempt, 60, "the name")


@pytest.mark.faults
def test_one_holder_publishes_all_or_nothing_and_never_hangs(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The former holder is shut out; a broker that hangs costs the time limit; a record is there once and in order."""
    commit = FencedPublisher._commit

    def commit_to_a_broker_that_hangs(holder: FencedPublisher, deadline_s: float) -> None:
        broker.pause()
        commit(holder, deadline_s)

    settings = load({}, kafka_bootstrap=broker.bootstrap)
    broker.create_topic(TOPIC)

    def stored() -> list[str]:
        return [(record.value or b"").decode() for record in read_to_end(settings, TOPIC)]

    former = open_soon(settings)
    assert [position.partition for position in former.publish(records_of("a"))] == [0, 0, 0]
    holder = open_soon(settings)
    holder.publish(records_of("b"))
    with pytest.raises(OwnershipLost, match="another process"):
        former.publish(records_of("stale"))
    former.close()
    try:
        began_s = time.monotonic()
        monkeypatch.setattr(FencedPublisher, "_commit", commit_to_a_broker_that_hangs)
        with pytest.raises(BrokerUnavailable):
            holder.publish(records_of("c"))
        holder.close()
        with pytest.raises(BrokerUnavailable):
            FencedPublisher(settings, "name", LIMITS)
        assert time.monotonic() - began_s < ENDS_WITHIN_S
    finally:
        broker.resume()
        monkeypatch.undo()
    last = open_soon(settings)
    last.publish(records_of("d"))
    last.close()
    expected = [f"{label}-{number}" for label in "abd" for number in range(3)]
    assert [text for text in stored() if not text.startswith("c")] == expected
    assert [text for text in stored() if text.startswith("c")] in ([], ["c-0", "c-1", "c-2"])
