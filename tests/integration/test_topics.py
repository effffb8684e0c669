"""`topics apply` on the real broker."""

import pytest

from producers import topics
from producers.kafka_client import KafkaRecordProducer, Record
from producers.topics import Change
from schemas.settings import Settings, load
from schemas.topics import CATALOG, TOPICS, USAGE

pytestmark = pytest.mark.kafka

DAY_MS = 24 * 60 * 60 * 1000


def _settings(bootstrap: str, prefix: str, **overrides: int) -> Settings:
    return load({}, kafka_bootstrap=bootstrap, topic_prefix=prefix, **overrides)


def _changes(settings: Settings) -> set[Change | None]:
    return {report.change for report in topics.apply(settings)}


def test_applying_twice_changes_nothing(kafka_bootstrap: str, topic_prefix: str) -> None:
    """The first run creates every topic as its fact sheet says, the second finds nothing to do."""
    settings = _settings(kafka_bootstrap, topic_prefix, topic_partitions=3)
    assert _changes(settings) == {Change.CREATED}
    assert _changes(settings) == {Change.UNCHANGED}
    found = {report.name: report.state for report in topics.list_topics(settings)}
    assert len(found) == len(TOPICS)
    usage, catalog = found[settings.topic(USAGE)], found[settings.topic(CATALOG)]
    assert usage is not None
    assert catalog is not None
    assert (usage.partitions, usage.config["retention.ms"]) == (3, str(100 * DAY_MS))
    assert (catalog.partitions, catalog.config["cleanup.policy"]) == (1, "compact")


def test_retention_follows_the_settings(kafka_bootstrap: str, topic_prefix: str) -> None:
    """A longer retention is applied to the topic that is there."""
    topics.apply(_settings(kafka_bootstrap, topic_prefix))
    longer = _settings(kafka_bootstrap, topic_prefix, usage_retention_days=120)
    reports = {report.name: report for report in topics.apply(longer)}
    usage = reports[longer.topic(USAGE)]
    assert usage.change is Change.CHANGED
    assert usage.notes == (f"retention.ms {100 * DAY_MS} → {120 * DAY_MS}",)
    assert _changes(longer) == {Change.UNCHANGED}


def test_an_empty_topic_grows_and_never_shrinks(kafka_bootstrap: str, topic_prefix: str) -> None:
    """More partitions are added while there are no records; fewer are refused."""
    topics.apply(_settings(kafka_bootstrap, topic_prefix, topic_partitions=2))
    assert Change.REFUSED not in _changes(_settings(kafka_bootstrap, topic_prefix, topic_partitions=4))
    assert Change.REFUSED in _changes(_settings(kafka_bootstrap, topic_prefix, topic_partitions=2))
    reports = topics.list_topics(_settings(kafka_bootstrap, topic_prefix))
    assert {report.state.partitions for report in reports if report.state} == {1, 4}


def test_a_topic_with_records_does_not_grow(kafka_bootstrap: str, topic_prefix: str) -> None:
    """New partitions would move keys away from their history, so the wish is refused and nothing is changed."""
    settings = _settings(kafka_bootstrap, topic_prefix, topic_partitions=2)
    topics.apply(settings)
    producer = KafkaRecordProducer(settings)
    producer.start()
    assert producer.wait_connected(20)
    producer.send(Record(settings.topic(USAGE), b"{}", partition=0)).result(20)
    producer.close(5)
    more = _settings(kafka_bootstrap, topic_prefix, topic_partitions=4)
    reports = {report.name: report for report in topics.apply(more)}
    usage = reports[settings.topic(USAGE)]
    assert usage.change is Change.REFUSED
    assert usage.state is not None
    assert usage.state.partitions == 2
