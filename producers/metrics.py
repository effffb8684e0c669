"""All Prometheus metrics of the producers, one list. Labels are bounded: never a tenant, a key or a URL."""

from prometheus_client import Counter, Gauge, Histogram

COUNTERS_ACCEPTED = Counter("fusion_counters_accepted_total", "Counters that Kafka acknowledged", ["source"])
GATEWAY_REQUESTS = Counter("fusion_gateway_requests_total", "Answered HTTP requests", ["route", "status"])
GATEWAY_REQUEST_SECONDS = Histogram(
    "fusion_gateway_request_duration_seconds",
    "From the request's first line to the answer",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
GATEWAY_REFUSED_COUNTERS = Counter("fusion_gateway_refused_counters_total", "Counters answered with 400", ["field"])
GATEWAY_UNACKED_RECORDS = Gauge("fusion_gateway_unacked_records", "Records that wait for Kafka's acknowledgement")
FEED_CATALOG_CHANGES = Counter("fusion_feed_catalog_changes_total", "Catalog records published", ["outcome"])
FEED_EVENTS = Counter("fusion_feed_events_total", "Lifecycle events published and acknowledged to Odoo")
FEED_FAILING = Gauge("fusion_feed_failing", "1 while this job of the feed cannot do its work", ["job"])
FEED_UNREADABLE = Counter("fusion_feed_unreadable_total", "Records from Odoo that do not fit the contract", ["kind"])
