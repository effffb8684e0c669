"""What each event means for the app."""

from pathlib import Path
from typing import Any

import pytest

from producers.adapters.control_loop import ControlLoop


class RecordingHook:
    """Keeps what it was asked to do; `fails` makes the next call raise."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fails = False

    def _note(self, what: str, subscription: str) -> None:
        if self.fails:
            raise ConnectionError("the app's own database is away")
        self.calls.append((what, subscription))

    def suspend(self, subscription: str) -> None:
        """Note it."""
        self._note("suspend", subscription)

    def restore(self, subscription: str) -> None:
        """Note it."""
        self._note("restore", subscription)

    def deprovision(self, subscription: str) -> None:
        """Note it."""
        self._note("deprovision", subscription)


def event(number: int, event_type: str, **changes: Any) -> dict[str, Any]:
    """A verified event."""
    return {"id": f"evt-{number}", "type": event_type, "time": "2026-07-01T00:00:00Z", "subscription": "s"} | changes


def test_the_story_of_a_late_payer() -> None:
    """Suspended, restored, at the end gone; each event acts once."""
    hook = RecordingHook()
    loop = ControlLoop(hook)
    for number, event_type in enumerate(
        ["invoice.posted", "invoice.payment_failed", "invoice.paid", "subscription.terminated", "invoice.paid"]
    ):
        assert loop.handle(event(number, event_type))
        assert not loop.handle(event(number, event_type))
    assert hook.calls == [("suspend", "s"), ("restore", "s"), ("deprovision", "s")]
    state = loop.state()["s"]
    assert state["status"] == "deprovisioned"
    assert [entry["id"] for entry in state["events"]] == [f"evt-{number}" for number in range(5)]


def test_paying_in_time_changes_nothing() -> None:
    """An active subscription needs no restoring."""
    hook = RecordingHook()
    loop = ControlLoop(hook)
    loop.handle(event(1, "invoice.paid"))
    assert hook.calls == []
    assert loop.state()["s"]["status"] == "active"


def test_an_event_whose_hook_failed_is_taken_again() -> None:
    """The sender tries again, and then it must not look like a repeat."""
    hook = RecordingHook()
    loop = ControlLoop(hook)
    hook.fails = True
    with pytest.raises(ConnectionError):
        loop.handle(event(1, "invoice.payment_failed"))
    assert loop.state() == {}
    hook.fails = False
    assert loop.handle(event(1, "invoice.payment_failed"))
    assert hook.calls == [("suspend", "s")]


def test_events_of_a_customer_without_subscription_are_kept() -> None:
    """Under the customer; those of neither only count as seen."""
    loop = ControlLoop(RecordingHook())
    loop.handle(event(1, "invoice.payment_failed", subscription=None, customer="c"))
    loop.handle(event(2, "invoice.payment_failed", subscription=None))
    assert loop.state().keys() == {"c"}


def test_a_replay_of_something_older_does_not_take_back_the_newer_word() -> None:
    """A failed payment that was given up and replayed after the paid one must not suspend."""
    hook = RecordingHook()
    loop = ControlLoop(hook)
    loop.handle(event(2, "invoice.paid", time="2026-07-02T00:00:00Z"))
    assert loop.handle(event(1, "invoice.payment_failed"))
    assert hook.calls == []
    assert [entry["id"] for entry in loop.state()["s"]["events"]] == ["evt-2", "evt-1"]
    loop.handle(event(3, "invoice.payment_failed", time="2026-07-03T00:00:00+02:00"))
    loop.handle(event(4, "invoice.paid", time="no time"))
    assert hook.calls == [("suspend", "s")]


def test_a_crash_between_hook_and_memory_repeats_the_hook_and_forgets_nothing(tmp_path: Path) -> None:
    """The hook has suspended, the process dies before it writes that down: the retry suspends again, then no more."""
    hook, path = RecordingHook(), tmp_path / "memory"
    loop = ControlLoop(hook, path)
    assert loop.handle(event(1, "invoice.posted"))
    path.rename(tmp_path / "away")
    path.mkdir()  # now nothing can be written there
    with pytest.raises(OSError, match="directory"):
        loop.handle(event(2, "invoice.payment_failed"))
    path.rmdir()
    (tmp_path / "away").rename(path)
    again = ControlLoop(hook, path)
    assert not again.handle(event(1, "invoice.posted"))
    assert again.handle(event(2, "invoice.payment_failed"))
    assert not ControlLoop(hook, path).handle(event(2, "invoice.payment_failed"))
    assert hook.calls == [("suspend", "s")] * 2


def test_after_a_restart_it_knows_what_it_knew(tmp_path: Path) -> None:
    """Ids, statuses and the newer word, but for an event whose line a crash has cut off: that one comes again."""
    hook, path = RecordingHook(), tmp_path / "memory"
    before = ControlLoop(hook, path)
    before.handle(event(1, "invoice.payment_failed", time="2026-07-02T00:00:00Z"))
    before.handle(event(2, "invoice.paid", time="2026-07-03T00:00:00Z"))
    with path.open("ab") as file:
        file.write(b'{"id": "evt-3", "ty')
    after = ControlLoop(hook, path)
    assert after.state() == before.state()
    assert not after.handle(event(2, "invoice.paid"))
    assert after.handle(event(0, "invoice.payment_failed", time="2026-07-01T00:00:00Z"))
    assert after.handle(event(3, "subscription.terminated", time="2026-07-04T00:00:00Z"))
    assert hook.calls == [("suspend", "s"), ("restore", "s"), ("deprovision", "s")]
    assert ControlLoop(hook, path).state() == after.state()
