"""A token bucket per service: bursts of up to one second's worth, then the steady rate."""

import threading
from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_s: float


class RateLimit:
    """At most `per_s` requests a second for each service. Only known services get here, so the table is bounded."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._burst = max(1.0, per_s)
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, service: str, now_s: float) -> float:
        """Take one request's token at monotonic time `now_s`; return 0, or the seconds until there is one."""
        with self._lock:
            bucket = self._buckets.setdefault(service, _Bucket(self._burst, now_s))
            earned = max(0.0, now_s - bucket.filled_at_s) * self._per_s
            bucket.tokens = min(self._burst, bucket.tokens + earned)
            bucket.filled_at_s = now_s
            if bucket.tokens < 1:
                return (1 - bucket.tokens) / self._per_s
            bucket.tokens -= 1
            return 0.0
