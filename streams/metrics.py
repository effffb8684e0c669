"""All metrics of the meter. Labels are bounded: reasons and partitions, never tenants."""

from prometheus_client import Counter, Gauge, Histogram

COUNTERS_APPLIED = Counter(
    "fusion_counters_applied", "counters applied, by what they did to their key", ["outcome"]
)  # inserted, replaced, duplicate, superseded
COUNTERS_REJECTED = Counter("fusion_counters_rejected", "counters or records refused for ever", ["reason"])
COUNTERS_STRADDLING = Counter(
    "fusion_counters_straddling", "counters that reach over their billing period's end and count at their start"
)
COUNTERS_SPLIT = Counter("fusion_counters_split", "counters that were divided over the billing periods they reach into")
COUNTERS_FORWARDED = Counter("fusion_counters_forwarded", "counters that came on a wrong partition and were sent on")
APPLIED_OFFSET = Gauge("fusion_applied_offset", "last usage record in the store", ["partition"])
STORE_ROWS = Gauge("fusion_store_rows", "live idempotency keys", ["partition"])
STORE_BYTES = Gauge("fusion_store_bytes", "bytes held by columns and index", ["partition"])
ROWS_CLOSED = Counter("fusion_store_rows_closed", "rows of closed periods that were dropped from memory")
REMAKES = Counter("fusion_store_remakes", "stores made anew from the log, by why", ["reason"])  # catalog, late_counter
RESTORE_REMAINING = Gauge("fusion_restore_records_remaining", "records still to replay from the log", ["partition"])
PUBLISHED_READ = Gauge("fusion_published_records_read", "derived records read to open a partition", ["partition"])
PUBLISHED_UNREADABLE = Counter("fusion_published_unreadable", "records on derived topics that are none of ours")
HELD = Gauge("fusion_held_aggregates", "totals kept although the log lost their counters", ["partition"])
REMAKES_REFUSED = Counter("fusion_remakes_refused", "stores kept because the log is too short to make them anew")
THRESHOLDS_REACHED = Counter("fusion_thresholds_reached", "usage.threshold_reached events published or tried")
MEMORY_USED = Gauge("fusion_memory_used_bytes", "memory that the meter's process holds")
MEMORY_BUDGET = Gauge("fusion_memory_budget_bytes", "FUSION_METER_MEMORY_BUDGET_MIB")
WAITING = Gauge("fusion_waiting_aggregates", "aggregates that the catalog cannot place or rate yet", ["partition"])
RECORDS_PUBLISHED = Counter("fusion_records_published", "derived records acknowledged by Kafka", ["topic"])
FLUSH_DURATION = Histogram("fusion_flush_duration_seconds", "one publication of changed aggregates")
SNAPSHOT_DURATION = Histogram("fusion_snapshot_duration_seconds", "writing one snapshot, in its thread")
SNAPSHOT_FAILURES = Counter("fusion_snapshot_failures", "snapshots that could not be written")
RATING_FAILURES = Counter("fusion_rating_failures", "aggregates left unrated because their charge is unusable")
AUDIT_DRIFT = Gauge("fusion_audit_drift", "aggregates that the store holds otherwise than the log says", ["partition"])
AUDIT_COMPLETED = Gauge("fusion_audit_completed_timestamp_seconds", "when the last continuous audit of a store ended")
AUDIT_COMPARED = Counter("fusion_audit_compared", "aggregates compared by the continuous audit")
