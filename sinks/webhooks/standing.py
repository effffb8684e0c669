"""How endpoints behave: failing, disabled, active again. Pure.

# failures in a row   4        … for 5 days   | 410
# state               failing  disabled       | disabled at once

What is disabled here is sent nothing until an operator enables it or its owner gives it another URL.
"""

import hashlib
from datetime import datetime, timedelta

from schemas.catalog import Endpoint
from schemas.events import EndpointState, EndpointStatus
from sinks.webhooks.state import Answer

_FAILING_AFTER = 4
DISABLED_AFTER = timedelta(days=5)


class Standings:
    """The status of each endpoint, and how long its failures have lasted."""

    def __init__(self) -> None:
        self._statuses: dict[int, EndpointStatus] = {}
        self._failures: dict[int, tuple[int, datetime]] = {}  # number in a row, and when the first was

    def apply(self, status: EndpointStatus) -> None:
        """Take in a status as read or written; the last one counts."""
        self._statuses[status.endpoint_id] = status
        if status.state is EndpointState.FAILING:
            self._failures.setdefault(status.endpoint_id, (_FAILING_AFTER, status.since))
        else:
            self._failures.pop(status.endpoint_id, None)

    def forget(self, endpoint_id: int) -> None:
        """Take in a tombstone."""
        self._statuses.pop(endpoint_id, None)
        self._failures.pop(endpoint_id, None)

    def is_disabled(self, endpoint: Endpoint) -> bool:
        """Tell whether nothing may be sent to the endpoint under its present URL."""
        status = self._statuses.get(endpoint.id)
        return (
            status is not None
            and status.state is EndpointState.DISABLED
            and status.url_digest in {None, digest_of(endpoint.url)}
        )

    def after(self, endpoint: Endpoint, answer: Answer, now: datetime) -> EndpointStatus | None:
        """Note an answer; return the status that it brings about, to be written and then applied, or null."""
        if self.is_disabled(endpoint):
            return None  # an attempt that had started before
        status = self._statuses.get(endpoint.id)
        state = EndpointState.ACTIVE if status is None else status.state
        if answer.is_success:
            self._failures.pop(endpoint.id, None)
            if state is EndpointState.ACTIVE:
                return None
            return _status(endpoint, EndpointState.ACTIVE, "answers again", now)
        if answer.is_gone:
            return _status(endpoint, EndpointState.DISABLED, "it answered 410 Gone", now)
        return self._after_failure(endpoint, state, now)

    def _after_failure(self, endpoint: Endpoint, state: EndpointState, now: datetime) -> EndpointStatus | None:
        count, first = self._failures.get(endpoint.id, (0, now))
        self._failures[endpoint.id] = (count + 1, first)
        if now - first >= DISABLED_AFTER:
            return _status(endpoint, EndpointState.DISABLED, f"only failures since {first:%Y-%m-%d %H:%M} UTC", now)
        if count + 1 >= _FAILING_AFTER and state is not EndpointState.FAILING:
            return _status(endpoint, EndpointState.FAILING, f"{count + 1} failures in a row", first)
        return None


def digest_of(url: str) -> str:
    """Return what stands for a URL in a status: URLs may carry tokens."""
    return hashlib.sha256(url.encode()).hexdigest()


def _status(endpoint: Endpoint, state: EndpointState, reason: str, since: datetime) -> EndpointStatus:
    return EndpointStatus(
        endpoint_id=endpoint.id, state=state, reason=reason, since=since, url_digest=digest_of(endpoint.url)
    )
