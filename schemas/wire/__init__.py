"""Codec of `billing.usage.v1` values: counters to JSON bytes and back, a whole batch at a time.

Encoding always writes columns. Decoding tries the typed `fast` path first; whatever that leaves goes through the
`slow` one, which judges each counter by `schemas.usage.Counter` and so names index, field and reason of the bad ones
while the good ones go on. What the fast path takes, the slow one takes with equal results; a property test holds
them to that.
"""

import msgspec

from schemas.wire import fast, slow
from schemas.wire.columns import CounterColumns, RefusedCounter, from_micros, to_counters, to_micros
from schemas.wire.encoding import encode_batch

__all__ = [
    "CounterColumns",
    "RefusedCounter",
    "decode_batch",
    "encode_batch",
    "from_micros",
    "to_counters",
    "to_micros",
]


def decode_batch(value: bytes) -> tuple[CounterColumns, list[RefusedCounter]]:
    """Return the good counters of a usage record's value and the refused ones.

    Raises:
        Refused: nothing of the record can be used (not JSON, not a batch, service or version unknown).
    """
    try:
        return fast.decode(value), []
    except (msgspec.DecodeError, ValueError, IndexError, RecursionError):
        return slow.decode(value)
