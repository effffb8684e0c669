"""A run of records taken in at once gives what one after the other gives, whatever they hold."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.intake import run_of_records
from streams.intake.one_record import Intake, take_in
from streams.intake.run_of_records import take_in_run
from streams.records import LogRecord
from streams.store.counters import CounterArrays
from tests.unit.schemas.batches import as_bytes, batch, columns, documents, mutated, row
from tests.unit.streams.catalogs import metric, view

TOPIC = "billing.usage.v1"
CATALOG = view(metric(service="nexamaps", code="api_calls"), metric(2, service="other", code="api_calls"))


def flat(arrays: CounterArrays) -> list[tuple[Any, ...]]:
    """Each counter with all that belongs to it."""
    ends = arrays.key_sizes.cumsum().tolist()
    keys = [arrays.keys[end - size : end].tobytes() for end, size in zip(ends, arrays.key_sizes.tolist(), strict=True)]
    return [
        (
            arrays.owners[arrays.owner[i]],
            arrays.metrics[arrays.metric[i]],
            arrays.periods[arrays.period[i]],
            keys[i],
            arrays.exact_quantity(i),
            int(arrays.revision[i]),
            int(arrays.source[i]),
            (arrays.properties[i] if arrays.properties else None) or {},
        )
        for i in range(len(arrays))
    ]


def one_by_one(records: list[LogRecord], partitions: int) -> tuple[list[tuple[Any, ...]], list[tuple[int, Intake]]]:
    """The definition: counters, and the intakes that hold more than counters."""
    counters: list[tuple[Any, ...]] = []
    more = []
    for record in records:
        intake = take_in(record, TOPIC, partitions, CATALOG)
        if intake.counters is not None and len(intake.counters):
            counters += flat(CounterArrays.of(intake.counters, record.offset))
        if intake.rejected is not None or intake.strays:
            more.append((record.offset, intake))
    return counters, more


def at_once(records: list[LogRecord], partitions: int) -> tuple[list[tuple[Any, ...]], list[tuple[int, Intake]]]:
    """The same of a run."""
    taken = take_in_run(records, TOPIC, partitions, CATALOG)
    more = [(record.offset, intake) for record, intake in taken.intakes if intake.rejected or intake.strays]
    return [counter for arrays in taken.counters for counter in flat(arrays)], more


def comparable(found: tuple[list[Any], list[tuple[int, Intake]]]) -> object:
    """Without the columns of an intake, which hold lists."""
    return found[0], [(offset, each.strays, each.stray_count, each.rejected) for offset, each in found[1]]


values = st.one_of(
    documents().map(as_bytes),
    mutated(),
    st.binary(max_size=20),
    st.sampled_from(
        [
            None,
            as_bytes(columns()),
            as_bytes(columns(revisions=[1, 2])),
            as_bytes(columns(quantities=[1, -1])),
            as_bytes(columns(keys=["é", 'a"b'])),
            as_bytes(columns(properties=[{"a": 1}, None])),
            as_bytes(columns(quantities=[10**13, -(10**13)], metrics=["others"])),
            as_bytes(columns(quantities=[0, 4611686018428])),
            as_bytes(batch(row())),
            as_bytes(batch(row(quantity="0.5", revision=3), row(quantity="7"))),
            as_bytes(batch(row(properties={"seat": "ann", "n": 1}))),
            as_bytes(batch(row(quantity=-1))),
            as_bytes(batch(row()) | {"service": "other"}),
            as_bytes(batch(row(subscription="elsewhere"))),
            b" " + as_bytes(batch(row())) + b"\n",
        ]
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(values, min_size=1, max_size=8), st.sampled_from([1, 1, 2]))
@example([as_bytes(batch(row()))[:-1], b"}"], 1)
@example([as_bytes(columns()).replace(b"[0, 1]", b"[0, 01]")], 1)
@example([as_bytes(columns()).replace(b"[0, 1]", b"[-0, 1]")], 1)
@example([as_bytes(columns()).replace(b"[0, 1]", b"[0, 2]")], 1)
@example([as_bytes(columns()).replace(b'"k-2"', b'"k-2", "k-3"')], 1)
@example([as_bytes(columns()).replace(b'"metric"', b'"subscription": [1, 1], "metric"')], 1)
@example([as_bytes(batch(row())).replace(b'"metric"', b'"quantity": 1, "metric"')], 1)
@example([as_bytes(batch(row(), note="\xff")), as_bytes(batch(row()))], 1)
def test_a_run_is_its_records(run: list[bytes | None], partitions: int) -> None:
    """Counters in order, with all fields; refusals and strays per record."""
    records = [LogRecord(0, 7 + 2 * number, b"key", value) for number, value in enumerate(run)]
    assert comparable(at_once(records, partitions)) == comparable(one_by_one(records, partitions))


@pytest.mark.parametrize(
    "document",
    [
        columns(quantities=[1, 2]),
        columns(quantities=[1, "0.5"]),
        columns(quantities=[1, 2], properties=[{"a": "b"}, None]),
        batch(row(), row(quantity="1.5", revision=2)),
        batch(row(properties={"region": "ca", "seats": 3, "trial": False, "note": None})),
        batch(row()) | {"schema_version": 1},
    ],
)
def test_ordinary_records_stay_on_the_fast_way(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is worth a closer look."""

    def never(*_: object) -> Intake:
        raise AssertionError("was looked at closely")

    monkeypatch.setattr(run_of_records, "take_in", never)
    records = [LogRecord(0, number, None, as_bytes(document)) for number in range(3)]
    assert sum(map(len, take_in_run(records, TOPIC, 1, CATALOG).counters)) > 0


def test_one_bad_record_costs_the_others_nothing() -> None:
    """It is found by halving; the rest stays in order."""
    records = [LogRecord(0, number, None, as_bytes(batch(row(idempotency_key=f"k{number}")))) for number in range(40)]
    records[17] = LogRecord(0, 17, None, b"garbage")
    taken = take_in_run(records, TOPIC, 1, CATALOG)
    assert [record.offset for record, _ in taken.intakes] == [17]
    offsets = [int(offset) for arrays in taken.counters for offset in arrays.source]
    assert offsets == [number for number in range(40) if number != 17]
    assert len(taken.counters) < 12
    assert json.loads(taken.intakes[0][1].rejected.model_dump_json())["offset"] == 17  # type: ignore[union-attr]
