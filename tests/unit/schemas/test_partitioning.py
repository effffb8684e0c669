"""Our partitioner is Kafka's: both clients that we use agree with it, and so do its published vectors."""

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_python_murmur2

from schemas.identifiers import usage_key
from schemas.partitioning import murmur2, partition_of
from tests.unit.schemas import strategies


@given(st.binary(max_size=300))
def test_both_clients_agree(key: bytes) -> None:
    """kafka-python and aiokafka compute the same hash, for every length and byte."""
    assert murmur2(key) == kafka_python_murmur2(key) & 0xFFFFFFFF
    assert murmur2(key) == aiokafka_murmur2(key) & 0xFFFFFFFF


@given(strategies.codes, strategies.external_ids, st.integers(1, 1024))
def test_a_counter_goes_where_any_client_would_send_it(service: str, subscription: str, partitions: int) -> None:
    """The key's UTF-8 bytes, hashed, without the sign, modulo the partitions."""
    key = usage_key(service, subscription)
    expected = (kafka_python_murmur2(key.encode()) & 0x7FFFFFFF) % partitions
    assert partition_of(key, partitions) == expected


# The values that the Java client's own test names for these keys.
@pytest.mark.parametrize(
    ("key", "signed_hash"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_java_client_agrees(key: bytes, signed_hash: int) -> None:
    """Its published vectors, as signed 32-bit numbers."""
    assert murmur2(key) == signed_hash & 0xFFFFFFFF
