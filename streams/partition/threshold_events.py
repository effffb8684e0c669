"""From a threshold that was reached to the lifecycle event that tells of it."""

import hashlib
import json
from datetime import datetime

from schemas.cloudevents import headers
from schemas.events import EventType, LifecycleEvent
from schemas.identifiers import usage_key
from schemas.money import format_decimal
from schemas.periods import format_instant
from streams.domain.thresholds import Crossing
from streams.partition.envelopes import METER
from streams.records import Outgoing


def event_id(crossing: Crossing) -> str:
    """Return the same id for the same threshold of the same period, whoever finds out and however often."""
    total, overage = crossing.total, crossing.overage
    names = [total.service, total.subscription, total.metric, overage.charge, crossing.threshold.code]
    text = json.dumps([*names, format_instant(total.period_start)])
    return f"threshold-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def threshold_event(crossing: Crossing, customer: str | None, now: datetime) -> LifecycleEvent:
    """Return the event; its data tell what was reached, and where usage stood then."""
    total, overage, threshold = crossing.total, crossing.overage, crossing.threshold
    return LifecycleEvent(
        id=event_id(crossing),
        type=EventType.THRESHOLD_REACHED,
        time=now,
        service=total.service,
        subscription=total.subscription,
        customer=customer,
        data={
            "metric": total.metric,
            "charge": overage.charge,
            "threshold": threshold.code,
            "kind": threshold.kind.value,
            "value": format_decimal(threshold.value),
            "period_start": format_instant(total.period_start),
            "period_end": format_instant(total.period_end),
            "quantity": format_decimal(total.quantity),
            "included_quota": format_decimal(overage.quota),
            "amount": format_decimal(overage.amount),
            "currency": overage.currency,
        },
    )


def event_record(event: LifecycleEvent, topic: str) -> Outgoing:
    """Return the event as a record, with the headers of CloudEvents' Kafka binding."""
    return Outgoing(
        topic,
        usage_key(event.service, event.subscription or "").encode(),
        event.model_dump_json().encode(),
        headers=headers(event_type=event.type, event_id=event.id, source=METER, time=event.time),
    )
