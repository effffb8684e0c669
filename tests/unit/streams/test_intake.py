"""Taking in one record: what is applied here, what is sent on, what is refused."""

import base64
import json
from typing import Any

import pytest

from schemas.errors import Reason
from schemas.identifiers import usage_key
from schemas.partitioning import partition_of
from schemas.wire import decode_batch
from streams.intake.one_record import Intake, take_in
from streams.records import LogRecord
from tests.unit.streams.catalogs import CODE, SERVICE, metric, view

PARTITIONS = 4
TOPIC = "billing.usage.v1"
HOME = partition_of(usage_key(SERVICE, "acme"), PARTITIONS)
AWAY = next(f"s{i}" for i in range(99) if partition_of(usage_key(SERVICE, f"s{i}"), PARTITIONS) != HOME)


def row(key: str, quantity: Any = "1", **fields: Any) -> dict[str, Any]:
    """One counter of `acme`."""
    return {
        "subscription": "acme",
        "metric": CODE,
        "quantity": quantity,
        "period_start": "2026-07-01T00:00:00Z",
        "period_end": "2026-07-01T01:00:00Z",
        "idempotency_key": key,
        **fields,
    }


def take(value: bytes | None, key: bytes | None = None) -> Intake:
    """Take in one record on the home partition of `acme`."""
    return take_in(LogRecord(HOME, 12, key, value), TOPIC, PARTITIONS, view(metric()))


def take_rows(*rows: dict[str, Any]) -> Intake:
    """Take in a batch of counters."""
    return take(json.dumps({"service": SERVICE, "counters": rows}).encode())


def test_good_counters_at_home_are_applied() -> None:
    """Nothing to send on, nothing refused."""
    intake = take_rows(row("a"), row("b"))
    assert intake.counters is not None
    assert list(intake.counters.keys) == ["a", "b"]
    assert (intake.strays, intake.stray_count, intake.rejected) == ([], 0, None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.MALFORMED_BATCH),
        (b"", Reason.MALFORMED_BATCH),
        (b"\x00\xff", Reason.MALFORMED_BATCH),
        (b"[]", Reason.MALFORMED_BATCH),
        (b'{"service":"maps"}', Reason.MALFORMED_BATCH),
        (b'{"service":"maps","counters":[]}', Reason.MALFORMED_BATCH),
        (b'{"service":"NO","counters":[{}]}', Reason.BAD_SERVICE),
        (b'{"service":"maps","schema_version":2,"counters":[{}]}', Reason.UNKNOWN_SCHEMA),
        (b"[" * 100_000, Reason.MALFORMED_BATCH),
        (b'{"service":"maps","counters":[' + b"9" * 5000 + b"]}", Reason.MALFORMED_BATCH),
    ],
)
def test_whatever_comes_is_refused_with_a_reason(value: bytes | None, reason: Reason) -> None:
    """The whole record, with its original bytes, key and place; nothing raises."""
    intake = take(value, b"some/key")
    assert intake.counters is None or len(intake.counters) == 0
    assert intake.rejected is not None
    assert intake.rejected.reason is reason
    assert (intake.rejected.topic, intake.rejected.partition, intake.rejected.offset) == (TOPIC, HOME, 12)
    assert base64.b64decode(intake.rejected.original) == (value or b"")
    assert base64.b64decode(intake.rejected.original_key or "") == b"some/key"


def test_bad_counters_are_named_and_the_good_ones_go_on() -> None:
    """Index in the published batch, field and reason, in the batch's order."""
    intake = take_rows(
        row("a"),
        row("b", "-1"),
        row("c", "1e400"),
        row(""),
        row("d", period_end="2026-06-01T00:00:00Z"),
        row("e", metric="NO"),
        row("f", revision=-1),
        row("g"),
    )
    assert intake.counters is not None
    assert list(intake.counters.keys) == ["a", "g"]
    assert intake.rejected is not None
    assert [(each.index, each.reason, each.field) for each in intake.rejected.refusals] == [
        (1, Reason.NEGATIVE_QUANTITY, "quantity"),
        (2, Reason.BAD_QUANTITY, "quantity"),
        (3, Reason.BAD_KEY, "idempotency_key"),
        (4, Reason.BAD_PERIOD, "period_end"),
        (5, Reason.BAD_METRIC, "metric"),
        (6, Reason.BAD_REVISION, "revision"),
    ]


def test_strays_go_to_their_own_partition_whole() -> None:
    """Each keeps all it came with; those at home are applied."""
    stray = row("b", "2.5", subscription=AWAY, revision=3, properties={"seat": "x"})
    intake = take_rows(row("a"), stray)
    assert intake.counters is not None
    assert list(intake.counters.keys) == ["a"]
    [(partition, batch)] = intake.strays
    assert partition == partition_of(usage_key(SERVICE, AWAY), PARTITIONS)
    decoded, refused = decode_batch(batch)
    assert refused == []
    assert (list(decoded.keys), decoded.revisions, decoded.properties) == (["b"], [3], [{"seat": "x"}])
    assert [str(quantity) for quantity in decoded.quantities] == ["2.5"]


def test_only_strays() -> None:
    """Nothing is left to apply here."""
    intake = take_rows(row("b", subscription=AWAY))
    assert (intake.counters, intake.stray_count) == (None, 1)


def test_strays_are_judged_where_they_belong() -> None:
    """A negative one is sent on like any other: one partition judges it, so it is refused once."""
    intake = take_rows(row("a", "-1"), row("b", "-1", subscription=AWAY))
    assert intake.stray_count == 1
    assert intake.rejected is not None
    assert [refusal.index for refusal in intake.rejected.refusals] == [0]
    assert intake.negative == {(SERVICE, CODE)}


def test_large_strays_are_cut_to_what_a_record_may_have() -> None:
    """A compressed record may hold more than an uncompressed one; no counter is lost on the way."""
    rows = [row(f"k{i}", subscription=AWAY, properties={"note": "x" * 1000}) for i in range(3000)]
    intake = take_rows(*rows)
    assert len(intake.strays) > 1
    assert all(len(batch) < 1 << 20 for _, batch in intake.strays)
    keys = [key for _, batch in intake.strays for key in decode_batch(batch)[0].keys]
    assert keys == [f"k{i}" for i in range(3000)]


def test_refused_input_beyond_all_measure_fits_into_a_record() -> None:
    """It is named by its place in the log instead of carried along."""
    intake = take(b"x" * (20 << 20))
    assert intake.rejected is not None
    assert len(intake.rejected.model_dump_json()) < 1 << 20
    assert intake.rejected.offset == 12
