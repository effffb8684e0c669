"""The topics: names, keys, clean-up, partitions. `fusion-billing topics apply` creates them from this list."""

from dataclasses import dataclass
from typing import Literal

DAY_MS = 24 * 60 * 60 * 1000
REJECTED_BYTES_MAX = 8 << 20
"""A refused record of 1 MiB, in base64, with a reason for each of its counters."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic's fact sheet.

    `partitions` null means the deployment's setting; `retention_days` null means kept for ever (compacted).
    """

    name: str
    key: str
    purpose: str
    cleanup: Literal["compact", "delete"]
    retention_days: int | None = None
    partitions: int | None = None


USAGE = Topic("usage.v1", "service/subscription, or none in a container", "usage batches", "delete", 100)
REJECTED = Topic("rejected.v1", "as the input", "input refused for ever, replayable", "delete", 100)
CATALOG = Topic("catalog.v1", "kind/id", "what Odoo owns", "compact", partitions=1)
TOTALS = Topic("totals.v1", "service/subscription/metric/period_start", "aggregated usage", "compact")
OVERAGE = Topic("overage.v1", "service/subscription/charge/period_start", "rated charges", "compact")
LINES = Topic("lines.v1", "service/subscription/charge/period_start", "what Odoo holds", "compact")
EVENTS = Topic("events.v1", "service/subscription or service/customer", "lifecycle events", "delete", 30)
DELIVERIES = Topic("deliveries.v1", "event_id:endpoint", "state of webhook deliveries", "compact")

TOPICS = (USAGE, REJECTED, CATALOG, TOTALS, OVERAGE, LINES, EVENTS, DELIVERIES)


def topic_config(topic: Topic) -> dict[str, str]:
    """Return the broker's settings for a topic."""
    if topic.cleanup == "compact":
        # Small segments: the active one is never compacted, and every role reads these topics at its start.
        return {"cleanup.policy": "compact", "segment.ms": str(600_000), "min.cleanable.dirty.ratio": "0.1"}
    config = {"cleanup.policy": "delete", "retention.ms": str((topic.retention_days or 0) * DAY_MS)}
    return config | {"max.message.bytes": str(REJECTED_BYTES_MAX)} if topic is REJECTED else config
