"""From Odoo's outbox to records of `events.v1`. Pure."""

from producers.kafka_client import Record
from producers.odoo_feed.catalog import canonical_json
from schemas.cloudevents import headers
from schemas.events import LifecycleEvent
from schemas.identifiers import usage_key
from schemas.odoo_rpc import OutboxEvent

SOURCE = "/fusion-billing/odoo"


def lifecycle_event(row: OutboxEvent) -> LifecycleEvent:
    """Return the event of an outbox row; its id is the row's stable public one, the same on every try.

    Raises:
        ValueError: the row does not fit the contract.
    """
    return LifecycleEvent.model_validate({**row, "id": row["event_id"]})


def event_record(event: LifecycleEvent, topic: str) -> Record:
    """Return the event as a record, with the headers of CloudEvents' Kafka binding."""
    return Record(
        topic,
        canonical_json(event.model_dump(mode="json")),
        key=usage_key(event.service, event.subscription or event.customer or "").encode(),
        headers=headers(event_type=event.type, event_id=event.id, source=SOURCE, time=event.time),
    )
