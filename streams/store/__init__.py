"""The partition store: one row per idempotency key in numpy columns, and the aggregates derived from them."""
