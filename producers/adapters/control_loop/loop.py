"""What each event means for the app: the rules, without HTTP."""

import threading
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from producers.adapters.control_loop.memory import Memory

EVENTS_KEPT_MAX = 100_000
"""Ids remembered against repeats; a delivery is retried for days at most, far fewer events than this."""

_NEVER = datetime.min.replace(tzinfo=UTC)


class Status(StrEnum):
    """Whether the app serves a subscription."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEPROVISIONED = "deprovisioned"


class Hook(Protocol):
    """What the app does about it; each call may be repeated after a crash, so each must be idempotent."""

    def suspend(self, subscription: str) -> None:
        """Stop serving, keep everything."""
        ...

    def restore(self, subscription: str) -> None:
        """Serve again."""
        ...

    def deprovision(self, subscription: str) -> None:
        """Stop for good."""
        ...


_STATUS_AFTER = {
    "invoice.payment_failed": Status.SUSPENDED,
    "invoice.paid": Status.ACTIVE,
    "subscription.terminated": Status.DEPROVISIONED,
}


class ControlLoop:
    """Applies each event once and knows the status of every subscription it heard of. Safe to share between threads.

    `memory`: a file that lets it know all that again after a restart.
    """

    def __init__(self, hook: Hook, memory: Path | None = None) -> None:
        self._act = {
            Status.ACTIVE: hook.restore,
            Status.SUSPENDED: hook.suspend,
            Status.DEPROVISIONED: hook.deprovision,
        }
        self._lock = threading.Lock()
        self._handled: dict[str, None] = {}  # in order of arrival, so that the oldest id is forgotten first
        self._subscriptions: dict[str, dict[str, Any]] = {}
        self._memory = None if memory is None else Memory(memory)
        for event in [] if self._memory is None else self._memory.read():
            self._note(event, self._status_after(event))

    def handle(self, event: dict[str, Any]) -> bool:
        """Act on a verified event; false for one that was handled before.

        The id is remembered only after the hook returned: if it raises, or the process dies between the two, the
        sender tries again and so do we.
        """
        with self._lock:
            if event["id"] in self._handled:
                return False
            status = self._status_after(event)
            if status is not self._known(event)["status"]:
                self._act[status](_name_in(event))
            if self._memory is not None:
                self._memory.add(event)
            self._note(event, status)
            return True

    def state(self) -> dict[str, Any]:
        """Return {subscription: {"status", "events": [{"id", "type", "time"}]}}, events in order of arrival."""
        with self._lock:
            return {
                name: {"status": entry["status"], "events": list(entry["events"])}
                for name, entry in self._subscriptions.items()
            }

    def _status_after(self, event: dict[str, Any]) -> Status:
        known = self._known(event)
        status: Status = known["status"]
        if not _name_in(event) or status is Status.DEPROVISIONED:
            return status  # what is gone stays gone, also when a late payment arrives
        if any(_time_of(one) > _time_of(event) for one in known["events"]):
            return status  # a replay of something older: kept, but the newer word stands
        return _STATUS_AFTER.get(str(event.get("type")), status)

    def _known(self, event: dict[str, Any]) -> dict[str, Any]:
        return self._subscriptions.get(_name_in(event), {"status": Status.ACTIVE, "events": []})

    def _note(self, event: dict[str, Any], status: Status) -> None:
        if name := _name_in(event):
            events = [*self._known(event)["events"], {field: event.get(field) for field in ("id", "type", "time")}]
            self._subscriptions[name] = {"status": status, "events": events}
        self._handled[event["id"]] = None
        if len(self._handled) > EVENTS_KEPT_MAX:
            del self._handled[next(iter(self._handled))]


def _name_in(event: dict[str, Any]) -> str:
    """Return the subscription an event is about, or the customer; empty if it names neither."""
    return str(event.get("subscription") or event.get("customer") or "")


def _time_of(event: dict[str, Any]) -> datetime:
    """Return when the event happened; without a readable time, before everything else."""
    try:
        time = datetime.fromisoformat(str(event.get("time")))
    except ValueError:
        return _NEVER
    return time if time.tzinfo is not None else _NEVER
