"""One attempt at a delivery: to the endpoint as the catalog has it now, signed with the secrets it has now."""

import random
from datetime import timedelta

import structlog

from schemas.catalog import Endpoint
from schemas.settings import Settings
from sinks import metrics
from sinks.webhooks.clock import Clock
from sinks.webhooks.directory import Directory
from sinks.webhooks.glance import Whole
from sinks.webhooks.http import EndpointClient
from sinks.webhooks.journal import JournalWriter
from sinks.webhooks.schedule import schedule_of
from sinks.webhooks.secrets import Secrets
from sinks.webhooks.signing import Attempt, headers_of
from sinks.webhooks.standing import Standings
from sinks.webhooks.state import Answer, after_attempt, given_up

log = structlog.get_logger()

HELD_MAX = {
    "unknown": timedelta(minutes=15),  # this worker's catalog may lag behind the fan-out's
    "inactive": timedelta(days=5),
    "disabled": timedelta(days=5),
    "secret": timedelta(days=5),
    "breaker": timedelta(days=5),
    "ours": timedelta(days=5),
}
"""Reasons to hold a delivery back without charging an attempt, and the age at which it is given up."""


class Attempts:
    """Knows what an attempt needs, and what each endpoint's answers mean for the endpoint."""

    def __init__(self, settings: Settings, directory: Directory, writer: JournalWriter, clock: Clock) -> None:
        self.standings = Standings()
        self._directory = directory
        self._writer = writer
        self._clock = clock
        self._secrets = Secrets(settings)
        self._schedule = schedule_of(settings.webhook_schedule, settings.webhook_first_wait_s)
        self._jitter = random.Random()  # noqa: S311 -- spreads load, protects nothing

    def obstacle(self, endpoint_id: int) -> str | None:
        """Return why nothing can be sent to this endpoint now, or null; a key of HELD_MAX."""
        endpoint = self._directory.get(endpoint_id)
        if endpoint is None:
            return "unknown"
        if not endpoint.active:
            return "inactive"
        if self.standings.is_disabled(endpoint):
            return "disabled"
        return None if self._secrets.of(endpoint) else "secret"

    async def make(self, delivery: Whole, client: EndpointClient) -> tuple[Whole | None, Answer | None]:
        """Attempt the delivery; return its next state, and the answer if there was one.

        No next state: nothing is charged, try again a little later (the fault is ours).
        """
        now = self._clock.now()
        endpoint = self._directory.get(delivery.endpoint_id)
        secrets = [] if endpoint is None else self._secrets.of(endpoint, now)
        if endpoint is None or not secrets:
            return None, None  # it went between the look and the attempt
        attempt = Attempt(
            delivery.event_id, delivery.event_type, delivery.body.encode(), delivery.attempts + 1, int(now.timestamp())
        )
        started_s = self._clock.monotonic()
        answer = await client.post(endpoint.url, attempt.body, headers_of(attempt, secrets))
        duration_s = self._clock.monotonic() - started_s
        if answer.is_ours:
            return self._uncharged(delivery, answer), answer
        await self._judge(endpoint, answer)
        after = after_attempt(delivery, answer, self._schedule, self._clock.now(), self._jitter.random())
        _report(after, answer, duration_s)
        return after, answer

    def _uncharged(self, delivery: Whole, answer: Answer) -> Whole | None:
        metrics.WEBHOOK_HELD.labels("ours").inc()
        log.warning("webhook.held", event_id=delivery.event_id, endpoint=delivery.endpoint_id, error=answer.error)
        is_old = self._clock.now() - delivery.created_at > HELD_MAX["ours"]
        return given_up(delivery, f"held for too long: {answer.error}") if is_old else None

    async def _judge(self, endpoint: Endpoint, answer: Answer) -> None:
        status = self.standings.after(endpoint, answer, self._clock.now())
        if status is None:
            return
        # Applied first: while it is written, nothing more is sent to an endpoint that is gone.
        self.standings.apply(status)
        metrics.WEBHOOK_ENDPOINT_CHANGES.labels(status.state.value).inc()
        log.warning("webhook.endpoint_changed", endpoint=endpoint.id, state=status.state.value, reason=status.reason)
        await self._writer.write_status(status)


def _report(after: Whole, answer: Answer, duration_s: float) -> None:
    metrics.WEBHOOK_ATTEMPTS.labels(answer.status_class).inc()
    metrics.WEBHOOK_ATTEMPT_SECONDS.observe(duration_s)
    if answer.is_success and after.attempts == 1:
        return  # nearly all of them: a line each would cost a tenth of a delivery, and its state says the same
    (log.info if answer.is_success else log.warning)(
        "webhook.attempted",
        event_id=after.event_id,
        endpoint=after.endpoint_id,
        attempt=after.attempts,
        status=answer.status,
        error=answer.error,
        state=after.state.value,
        next_attempt_at=None if after.next_attempt_at is None else after.next_attempt_at.isoformat(),
        duration_s=round(duration_s, 3),
    )
