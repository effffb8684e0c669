"""The identity of a counter: a 128-bit hash of service, metric, subscription and idempotency key."""

import numpy as np
import xxhash
from numpy.typing import NDArray

from streams.store import xxh3
from streams.store.counters import CounterArrays, Integers, encoded

Words = NDArray[np.uint64]


def key_hashes(counters: CounterArrays, pair: Integers, pair_at: Integers, seed: int) -> tuple[Words, Words]:
    """Return the low and the high word of each counter's hash under the deployment's seed.

    `pair` numbers the (owner, metric) of each counter, `pair_at` is where each of them stands first.
    """
    prefixes = [
        _prefix(*counters.owners[owner], counters.metrics[metric])
        for owner, metric in zip(*counters.codes_at(pair_at), strict=True)
    ]
    texts, sizes = encoded(prefixes)
    ends, key_ends = np.cumsum(sizes), np.cumsum(counters.key_sizes)
    low, high = np.empty(len(counters), np.uint64), np.empty(len(counters), np.uint64)
    left = np.empty(len(counters), np.int64)
    count = xxh3.hash_joined(texts, ends, pair, counters.keys, key_ends, np.uint64(seed), low, high, left)
    for position in left[:count].tolist():
        end = int(key_ends[position])
        key = counters.keys[end - int(counters.key_sizes[position]) : end].tobytes()
        words = xxhash.xxh3_128_intdigest(prefixes[pair[position]].encode() + key, seed)
        low[position], high[position] = words & (2**64 - 1), words >> 64
    return low, high


def _prefix(service: str, subscription: str, metric: str) -> str:
    """Return what comes before the key in the hashed text.

    Service and metric codes hold no slash and the subscription's length comes first: no two quadruples of (service,
    subscription, metric, key) give the same text.
    """
    return f"{service}/{metric}/{len(subscription)}:{subscription}"
