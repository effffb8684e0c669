"""Deliveries for the unit tests of the webhook sink."""

from datetime import UTC, datetime

from schemas.events import Delivery, DeliveryState

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def delivery(
    event_id: str = "evt_1", sequence: int = 0, subscription: str | None = "sub-1", endpoint: int = 1
) -> Delivery:
    """Return a delivery nobody has attempted yet, due at NOW."""
    return Delivery(
        event_id=event_id,
        event_type="invoice.paid",
        endpoint_id=endpoint,
        service="nexamaps",
        subscription=subscription,
        body='{"id":"evt_1"}',
        state=DeliveryState.PENDING,
        attempts=0,
        created_at=NOW,
        next_attempt_at=NOW,
        sequence=sequence,
    )
