"""Turns each lifecycle event into one pending delivery per endpoint that wants it."""

from collections.abc import Iterator, Sequence

import structlog

from schemas.events import LifecycleEvent
from schemas.partitioning import partition_of
from schemas.settings import Settings
from schemas.topics import DELIVERIES
from sinks import metrics
from sinks.kafka_client import Outgoing, Publisher, Record, TopicReader
from sinks.webhooks.body import body_of
from sinks.webhooks.book import key_of
from sinks.webhooks.directory import Directory
from sinks.webhooks.envelope import headers_of_delivery
from sinks.webhooks.glance import changed, document_of, whole
from sinks.webhooks.state import first_state

log = structlog.get_logger()

_PUBLISH_AT = 1_000  # deliveries; the producer itself bounds nothing


class FanOut:
    """The sink of `events.v1`. Keys and states are functions of the event: a repeated run overwrites, never adds."""

    name: metrics.Sink = "webhook-fanout"

    def __init__(self, settings: Settings, catalog: TopicReader, directory: Directory, publisher: Publisher) -> None:
        self._topic = settings.topic(DELIVERIES)
        self._catalog = catalog
        self._directory = directory
        self._publisher = publisher

    def refresh(self) -> bool:
        """Bring the directory up to the end of the catalog; true, or Unavailable."""
        self._directory.apply(self._catalog.read_to_end())
        return True

    def write(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Publish the deliveries of the records and wait for Kafka; then these records are settled."""
        # The feed publishes an endpoint before an event that follows it, so this catalog is new enough.
        self.refresh()
        partitions = self._publisher.partitions_of(self._topic)
        outgoing: list[Outgoing] = []
        fanned_out: list[Record] = []
        for record in records:
            outgoing += self._deliveries(record, partitions)
            fanned_out.append(record)
            if len(outgoing) >= _PUBLISH_AT:
                self._publish(outgoing)
                yield fanned_out
                outgoing, fanned_out = [], []
        self._publish(outgoing)
        yield fanned_out

    def _publish(self, outgoing: Sequence[Outgoing]) -> None:
        self._publisher.publish(self._topic, outgoing)
        metrics.SINK_ROWS.labels(self.name, "published").inc(len(outgoing))

    def _deliveries(self, record: Record, partitions: int) -> Iterator[Outgoing]:
        if record.value is None:
            return
        try:
            event = LifecycleEvent.model_validate_json(record.value)
            body = body_of(event)
        except (ValueError, RecursionError) as error:  # pydantic's and json's (NaN, depth)
            metrics.WEBHOOK_SKIPPED.labels("events").inc()
            log.error(  # noqa: TRY400 -- the trace would show the record
                "webhook.event_unreadable",
                partition=record.partition,
                offset=record.offset,
                error=type(error).__name__,
            )
            return
        traceparent = record.header("traceparent")
        first = whole(document_of(first_state(event, body, 0, record.offset)))
        for endpoint in self._directory.matching(event):
            delivery = changed(first, endpoint_id=endpoint.id)
            yield Outgoing(
                key_of(delivery),
                document_of(delivery),
                partition=endpoint_partition(endpoint.id, partitions),
                headers=headers_of_delivery(delivery, delivery.created_at, traceparent),
            )


def endpoint_partition(endpoint_id: int, partitions: int) -> int:
    """Return the one partition of all deliveries to an endpoint: one worker owns its order and its limits."""
    return partition_of(str(endpoint_id), partitions)
