"""The compiled hash against the library's."""

import numpy as np
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.store import xxh3
from streams.store.counters import encoded

seeds = st.integers(0, 2**64 - 1)


def hashed(prefixes: list[str], keys: list[str], prefix: list[int], seed: int) -> list[int | None]:
    """What the kernel gives for each prefix + key; null where it leaves the text to the library."""
    (texts, sizes), (joined, key_sizes) = encoded(prefixes), encoded(keys)
    low, high = np.zeros(len(keys), np.uint64), np.zeros(len(keys), np.uint64)
    left = np.zeros(len(keys), np.int64)
    numbers = np.array(prefix, np.int64)
    ends = np.cumsum(sizes), np.cumsum(key_sizes)
    count = xxh3.hash_joined(texts, ends[0], numbers, joined, ends[1], np.uint64(seed), low, high, left)
    skipped = set(left[:count].tolist())
    return [None if i in skipped else int(high[i]) << 64 | int(low[i]) for i in range(len(keys))]


def test_every_length() -> None:
    """Each takes another way through the blocks."""
    for length in range(xxh3.LENGTH_MIN, xxh3.LENGTH_MAX + 1):
        text = bytes(i * 37 % 256 for i in range(length))
        low, high = xxh3.digest(np.frombuffer(text, np.uint8), np.uint64(length), np.uint64(2**64 - 59))
        assert int(high) << 64 | int(low) == xxhash.xxh3_128_intdigest(text, 2**64 - 59)


@settings(deadline=None)
@given(st.binary(min_size=xxh3.LENGTH_MIN, max_size=xxh3.LENGTH_MAX), seeds)
def test_any_bytes_and_seed(text: bytes, seed: int) -> None:
    """The library is the definition."""
    low, high = xxh3.digest(np.frombuffer(text, np.uint8), np.uint64(len(text)), np.uint64(seed))
    assert int(high) << 64 | int(low) == xxhash.xxh3_128_intdigest(text, seed)


@settings(deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=120), min_size=1, max_size=4),
    st.lists(st.tuples(st.text(min_size=1, max_size=200), st.integers(0, 99)), min_size=1, max_size=20),
    seeds,
)
def test_joined_texts(prefixes: list[str], rows: list[tuple[str, int]], seed: int) -> None:
    """Each counter's own prefix and key, from one buffer; too short and too long ones are named."""
    prefix = [number % len(prefixes) for _, number in rows]
    keys = [key for key, _ in rows]
    for i, found in enumerate(hashed(prefixes, keys, prefix, seed)):
        text = (prefixes[prefix[i]] + keys[i]).encode()
        is_ours = xxh3.LENGTH_MIN <= len(text) <= xxh3.LENGTH_MAX
        assert found == (xxhash.xxh3_128_intdigest(text, seed) if is_ours else None)
