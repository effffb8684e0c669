"""Kafka's default partitioner: murmur2 of the key bytes, as the Java client and all others compute it.

Source: Austin Appleby's MurmurHash2 (public domain), seed 0x9747b28c, as named in Kafka's protocol documentation.
Both of our Kafka clients agree with it; a property test holds them to that.
"""

from functools import lru_cache

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_WORD = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the unsigned 32-bit hash."""
    length = len(data)
    hashed = _SEED ^ length
    whole = length - length % 4
    for position in range(0, whole, 4):
        chunk = int.from_bytes(data[position : position + 4], "little") * _MIX & _WORD
        chunk ^= chunk >> 24
        hashed = hashed * _MIX & _WORD ^ chunk * _MIX & _WORD
    tail = data[whole:]
    if tail:
        hashed = (hashed ^ int.from_bytes(tail, "little")) * _MIX & _WORD
    hashed = (hashed ^ hashed >> 13) * _MIX & _WORD
    return hashed ^ hashed >> 15


@lru_cache(maxsize=262144)
def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a text key among `partitions`."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
