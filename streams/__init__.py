"""The meter: dedupes counters by idempotency key, aggregates them per billing period and rates them."""
