"""`publish_file` over a scripted Kafka: what is sent when a line is bad, and what the caller is told."""

import io
import sys
from pathlib import Path

import pytest

from producers.publish import PublishOptions, PublishStopped, publish_file
from schemas.errors import BillingError
from schemas.settings import Settings
from schemas.wire import decode_batch
from tests.unit.sdk.scripted_producer import ScriptedProducer

SETTINGS = Settings(kafka_bootstrap="127.0.0.1:1")
SKIP = PublishOptions(on_error="skip")


def line(number: int) -> str:
    """Return a good line."""
    return (
        f'{{"subscription": "s", "metric": "m", "quantity": {number}, "period_start": "2026-07-01T00:00:00Z",'
        f' "period_end": "2026-07-01T01:00:00Z", "idempotency_key": "key-{number}"}}\n'
    )


class Pipe(io.BytesIO):
    """Standard input that cannot be read twice."""

    def seekable(self) -> bool:
        """Say so."""
        return False


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """Make `content` the standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Pipe(content.encode()))))


def sent_keys(producer: ScriptedProducer) -> list[str]:
    """Return the keys of everything sent, in order."""
    return [key for value in producer.values() for key in decode_batch(value)[0].keys]


@pytest.fixture
def producer() -> ScriptedProducer:
    """Kafka acknowledges everything at once."""
    return ScriptedProducer()


def test_a_good_file_is_published_whole(producer: ScriptedProducer, tmp_path: Path) -> None:
    """The result counts what Kafka acknowledged."""
    path = tmp_path / "usage.jsonl"
    path.write_text("".join(line(number) for number in range(1200)))
    result = publish_file(path, SETTINGS, "nexamaps", producer=producer)
    assert (result.counters, result.bad_lines) == (1200, 0)
    assert result.counters_per_s > 0
    assert sent_keys(producer) == [f"key-{number}" for number in range(1200)]


def test_a_bad_line_stops_a_file_before_anything_is_sent(producer: ScriptedProducer, tmp_path: Path) -> None:
    """All bad lines are named at once."""
    path = tmp_path / "usage.jsonl"
    path.write_text(line(1) + "x\n" + line(2) + line(3).replace('"m"', '"M"'))
    with pytest.raises(PublishStopped, match=r"2 bad lines, the first: line 2: .* nothing was sent") as caught:
        publish_file(path, SETTINGS, "nexamaps", producer=producer)
    assert [(error.line, error.field) for error in caught.value.result.errors] == [(2, None), (4, "metric")]
    assert caught.value.result.counters == 0
    assert not producer.sent


def test_bad_lines_can_be_skipped(producer: ScriptedProducer, tmp_path: Path) -> None:
    """The good ones go on, the bad ones are reported."""
    path = tmp_path / "usage.jsonl"
    path.write_text(line(1) + "x\n" + line(2))
    result = publish_file(path, SETTINGS, "nexamaps", SKIP, producer=producer)
    assert (result.counters, result.bad_lines, result.errors[0].line) == (2, 1, 2)
    assert sent_keys(producer) == ["key-1", "key-2"]


def test_a_pipe_stops_at_the_first_bad_line(producer: ScriptedProducer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be read twice, so the caller hears exactly what was sent."""
    pipe_in(monkeypatch, line(1) + line(2) + "x\n" + line(3))
    with pytest.raises(PublishStopped, match="the 2 counters before it were sent and are in Kafka") as caught:
        publish_file("-", SETTINGS, "nexamaps", producer=producer)
    assert caught.value.result.counters == 2
    assert sent_keys(producer) == ["key-1", "key-2"]


def test_a_pipe_of_csv_is_recognised(producer: ScriptedProducer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its beginning, which is not lost."""
    pipe_in(
        monkeypatch,
        "subscription,metric,quantity,period_start,period_end,idempotency_key,note\n"
        "s,m,1,2026-07-01T00:00:00Z,2026-07-01T01:00:00Z,key-1,hello\n",
    )
    result = publish_file("-", SETTINGS, "nexamaps", producer=producer)
    assert (result.counters, result.ignored_fields) == (1, ("note",))


def test_without_an_answer_the_counters_are_called_uncertain(tmp_path: Path) -> None:
    """Neither sent nor not sent: the same file again settles it."""
    path = tmp_path / "usage.jsonl"
    path.write_text(line(1) + line(2))
    silent = ScriptedProducer(answers_at_once=False)
    with pytest.raises(PublishStopped, match="0 counters for sure, 2 are uncertain") as caught:
        publish_file(path, SETTINGS, "nexamaps", PublishOptions(flush_timeout_s=0.05), producer=silent)
    assert caught.value.result.counters == 0


def test_a_missing_file_is_told(producer: ScriptedProducer, tmp_path: Path) -> None:
    """In one sentence."""
    with pytest.raises(BillingError, match=r"cannot read .*No such file"):
        publish_file(tmp_path / "nothing.csv", SETTINGS, "nexamaps", producer=producer)


def test_an_empty_file_is_no_error(producer: ScriptedProducer, tmp_path: Path) -> None:
    """Nothing to do."""
    path = tmp_path / "usage.jsonl"
    path.touch()
    assert publish_file(path, SETTINGS, "nexamaps", producer=producer).counters == 0
