"""Topics of the cluster: describe, create, grow, configure."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, OffsetSpec
from kafka.errors import (
    AuthorizationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    KafkaError,
    PolicyViolationError,
)

from schemas.errors import BrokerUnavailable, ConfigurationError
from schemas.settings import Settings, kafka_options


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the cluster has it or should have it; `config` holds what differs from the broker's defaults."""

    partitions: int
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)


class TopicAdmin:
    """One connection for administration; a context manager.

    Every call raises BrokerUnavailable when Kafka does not answer, ConfigurationError when it says no.
    """

    def __init__(self, settings: Settings, timeout_s: float = 15.0) -> None:
        self._options = kafka_options(settings) | {"bootstrap_timeout_ms": int(timeout_s * 1000)}
        self._client: Any = None

    def __enter__(self) -> Self:
        with _translating("connect"):
            self._client = KafkaAdminClient(**self._options)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Return those of `names` that exist."""
        with _translating("describe topics"):
            existing = [name for name in names if name in set(self._client.list_topics())]
            if not existing:
                return {}
            configs = self._client.describe_configs([ConfigResource("topic", name) for name in existing])["topic"]
            return {
                topic["name"]: TopicState(
                    partitions=len(topic["partitions"]),
                    replication=min(len(partition["replica_nodes"]) for partition in topic["partitions"]),
                    config={name: entry["value"] for name, entry in configs[topic["name"]].items()},
                )
                for topic in self._client.describe_topics(existing)
            }

    def create(self, name: str, state: TopicState) -> None:
        """Create a topic and wait until it can be written to."""
        with _translating(f"create {name}"):
            self._client.create_topics(
                {
                    name: {
                        "num_partitions": state.partitions,
                        "replication_factor": state.replication,
                        "configs": dict(state.config),
                    }
                },
                wait_for_metadata=True,
            )

    def grow(self, name: str, partitions: int) -> None:
        """Raise the number of partitions."""
        with _translating(f"add partitions to {name}"):
            self._client.create_partitions({name: partitions})
            self._client.wait_for_topics([name])

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Set these entries and leave all others alone."""
        with _translating(f"configure {name}"):
            answer = self._client.alter_configs([ConfigResource("topic", name, dict(config))])["topic"][name]
        if answer != "OK":
            raise ConfigurationError(f"Kafka refused the settings of {name}: {answer}")

    def was_written_to(self, name: str, partitions: int) -> bool:
        """Tell whether the topic ever held a record."""
        latest = {TopicPartition(name, number): OffsetSpec.LATEST for number in range(partitions)}
        with _translating(f"read the offsets of {name}"):
            return any(found.offset > 0 for found in self._client.list_partition_offsets(latest).values())


@contextmanager
def _translating(what: str) -> Iterator[None]:
    try:
        yield
    except (InvalidReplicationFactorError, InvalidPartitionsError, AuthorizationError, PolicyViolationError) as error:
        raise ConfigurationError(f"Kafka refused to {what}: {error}") from error
    except KafkaError as error:
        raise BrokerUnavailable(f"cannot {what}: {type(error).__name__}: {error}") from error
