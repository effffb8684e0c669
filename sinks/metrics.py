"""All metrics of the sinks. Labels are bounded: never a tenant, key or URL."""

from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

Sink = Literal["odoo", "webhook-fanout", "webhook-view"]

SINK_ROWS = Counter("fusion_sink_rows", "Rows a sink has settled, by what became of them", ["sink", "outcome"])
SINK_WRITE_SECONDS = Histogram("fusion_sink_write_duration_seconds", "One write of a batch", ["sink", "outcome"])
SINK_OLDEST_PENDING_SECONDS = Gauge(
    "fusion_sink_oldest_pending_seconds",
    "Age of the oldest unsettled record; 0 without one",
    ["sink"],
)
SINK_COMMITS_REFUSED = Counter(
    "fusion_sink_commits_refused", "Commits that came after the group had moved on", ["sink"]
)
ODOO_CALL_SECONDS = Histogram("fusion_odoo_call_duration_seconds", "One call of an addon method", ["method", "outcome"])
WEBHOOK_ATTEMPTS = Counter("fusion_webhook_attempts", "Attempts, by class of the answer", ["status_class"])
WEBHOOK_ATTEMPT_SECONDS = Histogram("fusion_webhook_attempt_duration_seconds", "One attempt, connect to last byte")
WEBHOOK_SETTLED = Counter(
    "fusion_webhook_deliveries_settled", "Deliveries that ended; state dead is one to alert on", ["state"]
)
WEBHOOK_HELD = Counter("fusion_webhook_holds", "Looks at an endpoint that may not be sent to now", ["reason"])
WEBHOOK_ENDPOINT_CHANGES = Counter(
    "fusion_webhook_endpoint_changes", "Endpoints that began to fail, were disabled, or answer again", ["state"]
)
WEBHOOK_EXPIRED = Counter("fusion_webhook_deliveries_expired", "Ended deliveries that were dropped from the topic")
WEBHOOK_PENDING = Gauge("fusion_webhook_deliveries_pending", "Deliveries that wait for an attempt")
WEBHOOK_PARTITIONS = Gauge("fusion_webhook_partitions", "Partitions of deliveries this worker has read and sends from")
WEBHOOK_SKIPPED = Counter("fusion_webhook_records_skipped", "Unreadable records on input topics", ["topic"])
