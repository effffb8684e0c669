"""`publish_file` on a real broker."""

import csv
from pathlib import Path

import pytest

from producers.publish import PublishOptions, PublishStopped, publish_file
from schemas.settings import Settings, load
from schemas.topics import USAGE
from schemas.wire import decode_batch
from tests.stack.kafka import TopicMaker
from tests.stack.reading import read_cold

pytestmark = pytest.mark.kafka

COLUMNS = ["subscription", "metric", "quantity", "period_start", "period_end", "idempotency_key"]
PERIOD = ["2026-07-01T00:00:00Z", "2026-07-01T01:00:00Z"]


@pytest.fixture
def settings(kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker) -> Settings:
    """Return settings for a usage topic of the test's own."""
    topics(USAGE.name, 1)
    return load({}, kafka_bootstrap=kafka_bootstrap, topic_prefix=topic_prefix)


def keys_in(settings: Settings) -> list[str]:
    """Return the idempotency keys in the usage topic, in order."""
    records = read_cold(settings.kafka_bootstrap, settings.topic(USAGE))
    return [key for record in records for key in decode_batch(record.value)[0].keys]


def write_rows(path: Path, count: int, bad: int | None = None) -> None:
    """Write a CSV file of counters; the quantity of row `bad` is no number."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for number in range(count):
            rows.writerow([f"s-{number % 3}", "m", "many" if number == bad else number, *PERIOD, f"key-{number}"])


def test_a_csv_file_is_in_kafka_when_publish_returns(settings: Settings, tmp_path: Path) -> None:
    """Every row once; publishing again adds the same keys, which count once."""
    path = tmp_path / "usage.csv"
    write_rows(path, 3000)
    result = publish_file(path, settings, "nexamaps")
    assert result.counters == 3000
    assert sorted(keys_in(settings)) == sorted(f"key-{number}" for number in range(3000))


def test_a_bad_row_keeps_the_topic_empty(settings: Settings, tmp_path: Path) -> None:
    """Or, when asked to skip, keeps only itself out."""
    path = tmp_path / "usage.csv"
    write_rows(path, 10, bad=4)
    with pytest.raises(PublishStopped, match="line 6: quantity: must be a plain decimal number"):
        publish_file(path, settings, "nexamaps")
    assert keys_in(settings) == []
    assert publish_file(path, settings, "nexamaps", PublishOptions(on_error="skip")).counters == 9
    assert len(keys_in(settings)) == 9
