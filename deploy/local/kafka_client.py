"""The local stack's only use of kafka-python: is the broker there, and topics for tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# A broker on a busy machine may take seconds for what it does in a moment otherwise.
_TIMEOUT_MS = 30_000
_SERVED_WITHIN_S = 30.0
_POLL_S = 0.05


def _connect(bootstrap: str, connect_within_ms: int = _TIMEOUT_MS) -> KafkaAdminClient:
    return KafkaAdminClient(
        bootstrap_servers=bootstrap,
        client_id="fusion-local",
        request_timeout_ms=min(connect_within_ms * 5, _TIMEOUT_MS),
        bootstrap_timeout_ms=connect_within_ms,
        reconnect_backoff_max_ms=1_000,  # the default backs off for up to 30 s
    )


def answers(bootstrap: str) -> bool:
    """True when the broker answers a metadata request and knows itself; its port must be open already."""
    try:
        # A broker that is still registering accepts connections but names no brokers: soon ask again.
        admin = _connect(bootstrap, connect_within_ms=1_000)
    except KafkaError:
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        admin.close()


def create_topics(bootstrap: str, partitions: Mapping[str, int], configs: Mapping[str, str] | None = None) -> None:
    """Create topics with so many partitions each, one replica; return once clients can use them.

    Raises: KafkaError, also when one exists already.
    """
    admin = _connect(bootstrap)
    try:
        admin.create_topics(
            [
                NewTopic(name=name, num_partitions=count, replication_factor=1, topic_configs=dict(configs or {}))
                for name, count in partitions.items()
            ],
            timeout_ms=_TIMEOUT_MS,
        )
        _await_leaders(admin, partitions)
    finally:
        admin.close()


def _await_leaders(admin: KafkaAdminClient, partitions: Mapping[str, int]) -> None:
    """Return when each partition has a leader: a topic is created before that, and a client may look meanwhile."""
    deadline_s = time.monotonic() + _SERVED_WITHIN_S
    while True:
        led = {
            topic["name"]: sum(partition["leader_id"] >= 0 for partition in topic["partitions"])
            for topic in admin.describe_topics(list(partitions))
        }
        if led == dict(partitions):
            return
        if time.monotonic() > deadline_s:
            raise KafkaTimeoutError(f"topics without leaders after {_SERVED_WITHIN_S:g} s: {led}")
        time.sleep(_POLL_S)


def delete_topics(bootstrap: str, names: Iterable[str]) -> None:
    """Delete the topics; those that are gone already do not matter."""
    admin = _connect(bootstrap)
    try:
        for name in names:
            try:
                admin.delete_topics([name], timeout_ms=_TIMEOUT_MS)
            except UnknownTopicOrPartitionError:
                continue
    finally:
        admin.close()


def topic_names(bootstrap: str) -> set[str]:
    """The names of all topics."""
    admin = _connect(bootstrap)
    try:
        return set(admin.list_topics())
    finally:
        admin.close()
