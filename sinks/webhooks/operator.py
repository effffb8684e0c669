"""What an operator can do about deliveries: look, replay, disable, enable, test. All of it goes through Kafka.

The sink need not run: it finds what was written when it comes back, and it takes it in at once if it is there.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from schemas.events import Delivery, DeliveryState, EndpointState, EndpointStatus, LifecycleEvent
from schemas.identifiers import status_key
from schemas.periods import parse_instant
from schemas.settings import Settings
from schemas.topics import CATALOG, DELIVERIES
from sinks.kafka_client import Outgoing, Publisher, TopicReader
from sinks.webhooks.body import body_of
from sinks.webhooks.book import key_of
from sinks.webhooks.directory import Directory
from sinks.webhooks.envelope import headers_of_delivery
from sinks.webhooks.fanout import endpoint_partition
from sinks.webhooks.journal import read_journal
from sinks.webhooks.state import first_state, replayed

TEST_EVENT = "webhook.test"
_STEP = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries: all that fit every criterion that is given. Times are those of the events, [since, until)."""

    event_ids: frozenset[str] = frozenset()
    endpoint_id: int | None = None
    service: str | None = None
    states: frozenset[DeliveryState] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, delivery: Delivery) -> bool:
        """Tell whether the delivery fits."""
        time = event_time(delivery)
        return (
            (not self.event_ids or delivery.event_id in self.event_ids)
            and self.endpoint_id in {None, delivery.endpoint_id}
            and self.service in {None, delivery.service}
            and (not self.states or delivery.state in self.states)
            and (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
        )


class Operator:
    """One look at the topics, kept up to date by `refresh`; a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic(DELIVERIES)
        self._deliveries: dict[str, Delivery] = {}
        self._statuses: dict[int, EndpointStatus] = {}
        self.directory = Directory()
        with ExitStack() as closing:
            self._journal = TopicReader(settings, self._topic)
            closing.callback(self._journal.close)
            self._catalog = TopicReader(settings, settings.topic(CATALOG))
            closing.callback(self._catalog.close)
            self._publisher = Publisher(settings)
            closing.callback(self._publisher.close)
            self.refresh()
            self._closing = closing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def refresh(self) -> None:
        """Read what came since the last look."""
        self.directory.apply(self._catalog.read_to_end())
        for record in self._journal.read_to_end():
            key = (record.key or b"").decode(errors="replace")
            if record.value is None:
                self._deliveries.pop(key, None)
                continue
            match read_journal(record):
                case Delivery() as delivery:
                    self._deliveries[key] = delivery
                case EndpointStatus() as status:
                    self._statuses[status.endpoint_id] = status

    def deliveries(self, selection: Selection) -> list[Delivery]:
        """Return what is selected, the oldest event first."""
        found = (delivery for delivery in self._deliveries.values() if delivery in selection)
        return sorted(found, key=lambda one: (event_time(one), one.event_id, one.endpoint_id))

    def status(self, endpoint_id: int) -> EndpointStatus | None:
        """Return the status of an endpoint; null if there was never anything to say."""
        return self._statuses.get(endpoint_id)

    def replayable(self, selection: Selection) -> list[Delivery]:
        """Return what is selected, but for what waits for its first attempt anyway: a second replay changes nothing."""
        return [
            one
            for one in self.deliveries(selection)
            if one.body and not (one.state is DeliveryState.PENDING and one.attempts == 0)
        ]

    def replay(self, deliveries: Iterable[Delivery], now: datetime) -> None:
        """Give each delivery a new life, with the same id and the same bytes; waiting retries are superseded."""
        lives = [replayed(one, max(now, one.created_at + timedelta(microseconds=1))) for one in deliveries]
        for start in range(0, len(lives), _STEP):
            self._publish(lives[start : start + _STEP], now)

    def set_state(self, endpoint_id: int, state: EndpointState, reason: str, now: datetime) -> None:
        """Disable an endpoint, whatever its URL, or let it be sent to again."""
        status = EndpointStatus(endpoint_id=endpoint_id, state=state, reason=reason[:200], since=now)
        partition = endpoint_partition(endpoint_id, self._publisher.partitions_of(self._topic))
        record = Outgoing(status_key(endpoint_id), status.model_dump_json().encode(), partition)
        self._publisher.publish(self._topic, [record])

    def send_test(self, endpoint_id: int, event_id: str, now: datetime) -> str:
        """Write a delivery of a test event to one endpoint, whatever types it wants; return its key.

        Raises:
            KeyError: the catalog knows no such endpoint.
        """
        endpoint = self.directory.get(endpoint_id)
        if endpoint is None:
            raise KeyError(endpoint_id)
        event = LifecycleEvent(id=event_id, type=TEST_EVENT, time=now, service=endpoint.service)
        delivery = first_state(event, body_of(event), endpoint_id, sequence=0)
        self._publish([delivery], now)
        return key_of(delivery)

    def delivery(self, key: str) -> Delivery | None:
        """Return one delivery as last read."""
        return self._deliveries.get(key)

    def _publish(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        partitions = self._publisher.partitions_of(self._topic)
        self._publisher.publish(
            self._topic,
            [
                Outgoing(
                    key_of(one),
                    one.model_dump_json().encode(),
                    endpoint_partition(one.endpoint_id, partitions),
                    headers_of_delivery(one, now),
                )
                for one in deliveries
            ],
        )


def event_time(delivery: Delivery) -> datetime:
    """Return when the event happened; of a body that does not say, when the delivery was created."""
    try:
        return parse_instant(json.loads(delivery.body)["time"])
    except (ValueError, KeyError, TypeError):
        return delivery.created_at
