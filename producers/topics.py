"""Create the topics and bring their settings up to date; nothing else in the product ever does."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from producers.kafka_client import TopicAdmin, TopicState
from schemas.settings import Settings
from schemas.topics import DAY_MS, TOPICS, USAGE, Topic, topic_config


class Change(StrEnum):
    """What `apply` did to a topic."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"  # the settings ask for what cannot be done to a topic that holds records


@dataclass(frozen=True, slots=True)
class TopicReport:
    """One topic after `apply`, or as `list_topics` found it; `state` is null for one that does not exist."""

    name: str
    state: TopicState | None
    change: Change | None = None
    notes: tuple[str, ...] = ()


class Admin(Protocol):
    """What this module needs of a cluster; `TopicAdmin` is the real one."""

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Return those of `names` that exist."""
        ...

    def create(self, name: str, state: TopicState) -> None:
        """Create a topic."""
        ...

    def grow(self, name: str, partitions: int) -> None:
        """Raise the number of partitions."""
        ...

    def configure(self, name: str, config: dict[str, str]) -> None:
        """Set these entries and leave all others alone."""
        ...

    def was_written_to(self, name: str, partitions: int) -> bool:
        """Tell whether the topic ever held a record."""
        ...


def apply(settings: Settings) -> list[TopicReport]:
    """Make the cluster's topics what the settings say; a second run changes nothing.

    Never shrinks a topic, and grows one only while it is empty: in every topic of ours the key decides the partition,
    and a key that moved would leave its history behind (for usage: count twice). Such a wish is reported as refused.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        ConfigurationError: Kafka says no, for example to more replicas than there are brokers.
    """
    with TopicAdmin(settings) as admin:
        return apply_with(admin, settings)


def list_topics(settings: Settings) -> list[TopicReport]:
    """Return all topics of the product as the cluster has them."""
    with TopicAdmin(settings) as admin:
        found = admin.describe([settings.topic(topic) for topic in TOPICS])
    return [TopicReport(settings.topic(topic), found.get(settings.topic(topic))) for topic in TOPICS]


def apply_with(admin: Admin, settings: Settings) -> list[TopicReport]:
    """`apply` over a given cluster."""
    found = admin.describe([settings.topic(topic) for topic in TOPICS])
    return [_apply_one(admin, settings, topic, found.get(settings.topic(topic))) for topic in TOPICS]


def wanted_state(settings: Settings, topic: Topic) -> TopicState:
    """Return the topic as the settings want it."""
    config = topic_config(topic) | {"min.insync.replicas": str(settings.topic_min_insync)}
    if topic is USAGE:
        config["retention.ms"] = str(settings.usage_retention_days * DAY_MS)
    return TopicState(topic.partitions or settings.topic_partitions, settings.topic_replication, config)


def _apply_one(admin: Admin, settings: Settings, topic: Topic, found: TopicState | None) -> TopicReport:
    name, wanted = settings.topic(topic), wanted_state(settings, topic)
    if found is None:
        admin.create(name, wanted)
        return TopicReport(name, wanted, Change.CREATED)
    refusals = _refusals(admin, name, found, wanted)
    notes: list[str] = []
    partitions = found.partitions
    if wanted.partitions > found.partitions and not refusals:
        partitions = wanted.partitions
        admin.grow(name, partitions)
        notes.append(f"partitions {found.partitions} → {partitions}")
    config = {key: value for key, value in wanted.config.items() if found.config.get(key) != value}
    if config:
        admin.configure(name, config)
        notes += [f"{key} {found.config.get(key, 'default')} → {value}" for key, value in config.items()]
    change = Change.REFUSED if refusals else Change.CHANGED if notes else Change.UNCHANGED
    state = TopicState(partitions, found.replication, {**found.config, **config})
    return TopicReport(name, state, change, (*notes, *refusals))


def _refusals(admin: Admin, name: str, found: TopicState, wanted: TopicState) -> list[str]:
    refusals = []
    if wanted.partitions < found.partitions:
        refusals.append(f"has {found.partitions} partitions, cannot shrink to {wanted.partitions}")
    elif wanted.partitions > found.partitions and admin.was_written_to(name, found.partitions):
        refusals.append(f"has {found.partitions} partitions and records: {wanted.partitions} would move its keys")
    if wanted.replication != found.replication:
        refusals.append(f"has {found.replication} replicas, {wanted.replication} needs a reassignment")
    return refusals
