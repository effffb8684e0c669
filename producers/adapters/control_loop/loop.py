"""What each event means for the app: the rules, without HTTP."""

import threading
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

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
    """Applies each event once and knows the status of every subscription it heard of. Safe to share between threads."""

    def __init__(self, hook: Hook) -> None:
        self._act = {
            Status.ACTIVE: hook.restore,
            Status.SUSPENDED: hook.suspend,
            Status.DEPROVISIONED: hook.deprovision,
        }
        self._lock = threading.Lock()
        self._handled: dict[str, None] = {}  # in order of arrival, so that the oldest id is forgotten first
        self._subscriptions: dict[str, dict[str, Any]] = {}

    def handle(self, event: dict[str, Any]) -> bool:
        """Act on a verified event; false for one that was handled before.

        The id is remembered only after the hook returned: if it raises, the sender tries again and so do we.
        """
        with self._lock:
            if event["id"] in self._handled:
                return False
            name = event.get("subscription") or event.get("customer")
            if name:
                self._apply(str(name), event)
            self._handled[event["id"]] = None
            if len(self._handled) > EVENTS_KEPT_MAX:
                del self._handled[next(iter(self._handled))]
            return True

    def state(self) -> dict[str, Any]:
        """Return {subscription: {"status", "events": [{"id", "type", "time"}]}}, events in order of arrival."""
        with self._lock:
            return {
                name: {"status": entry["status"], "events": list(entry["events"])}
                for name, entry in self._subscriptions.items()
            }

    def _apply(self, name: str, event: dict[str, Any]) -> None:
        known = self._subscriptions.get(name, {"status": Status.ACTIVE, "events": []})
        status = _STATUS_AFTER.get(str(event.get("type")), known["status"])
        if known["status"] is Status.DEPROVISIONED:
            status = Status.DEPROVISIONED  # what is gone stays gone, also when a late payment arrives
        elif any(_time_of(one) > _time_of(event) for one in known["events"]):
            status = known["status"]  # a replay of something older: kept, but the newer word stands
        if status is not known["status"]:
            self._act[status](name)
        events = [*known["events"], {field: event.get(field) for field in ("id", "type", "time")}]
        self._subscriptions[name] = {"status": status, "events": events}


def _time_of(event: dict[str, Any]) -> datetime:
    """Return when the event happened; without a readable time, before everything else."""
    try:
        time = datetime.fromisoformat(str(event.get("time")))
    except ValueError:
        return _NEVER
    return time if time.tzinfo is not None else _NEVER
