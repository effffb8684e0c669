"""Records to rows and answers to lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.derived import Line, LineStatus, Overage, Version
from schemas.errors import InvariantBroken
from schemas.odoo_rpc import LineResult
from sinks.odoo.answers import check_answer, line_of, parked_line
from sinks.odoo.parked import parked_among
from sinks.odoo.reading import Malformed, Rated, rated, read_overage
from sinks.odoo.rows import CallSize, calls_of, coalesce
from tests.unit.sinks.fakes import overage, record


def test_a_row_says_what_the_overage_says_in_plain_text() -> None:
    """Decimals without exponent, times in UTC with Z, the version as a list."""
    row = rated(overage(amount="100.00", version=(1, 42, 7))).row
    assert row == {
        "key": "nexamaps/sub-1/calls/2026-07-01T00:00:00Z",
        "version": [1, 42, 7],
        "service": "nexamaps",
        "subscription": "sub-1",
        "charge": "calls",
        "metric": "api_calls",
        "period_start": "2026-07-01T00:00:00Z",
        "period_end": "2026-08-01T00:00:00Z",
        "total": "6000000",
        "quota": "5000000",
        "billable_units": "1000000",
        "batches": "1000",
        "batch_size": "1000",
        "price_per_unit": "0.1",
        "charge_model": "standard",
        "amount": "100",
        "currency": "CAD",
        "counters": 3,
    }


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=30))
def test_coalescing_keeps_the_newest_version_and_every_record(reads: list[tuple[str, int]]) -> None:
    """Per key the greatest version survives, the later of equal ones; no record is left without a keeper."""
    overages = [overage(name, str(offset), (1, version, 0)) for offset, (name, version) in enumerate(reads)]
    records = [(record(one, offset), rated(one)) for offset, one in enumerate(overages)]
    newest = coalesce(records)
    kept = sorted(one.offset for pending in newest.values() for one in pending.records)
    assert kept == list(range(len(reads)))
    expected: dict[str, tuple[int, int]] = {}
    for offset, (name, version) in enumerate(reads):
        expected[name] = max(expected.get(name, (-1, -1)), (version, offset))
    assert {one.rated.row["subscription"]: int(one.rated.row["amount"]) for one in newest.values()} == {
        name: offset for name, (_, offset) in expected.items()
    }


@given(st.integers(0, 30), st.integers(1, 7), st.integers(1, 3000))
def test_calls_are_bounded_and_lose_nothing(rows: int, rows_max: int, bytes_max: int) -> None:
    """All rows in order, never too many in one call, too many bytes only for a row alone."""
    pendings = list(coalesce((record(one), rated(one)) for one in map(overage, map(str, range(rows)))).values())
    calls = list(calls_of(pendings, lambda: rows_max, bytes_max))
    assert [pending for call in calls for pending in call] == pendings
    assert all(1 <= len(call) <= rows_max for call in calls)
    sizes = [sum(len(one.records[-1].value or b"") for one in call) for call in calls]
    assert all(size <= bytes_max or len(call) == 1 for size, call in zip(sizes, calls, strict=True))


def test_a_call_has_as_many_rows_as_odoo_answers_in_a_second() -> None:
    """It shrinks at once and grows by doubling, only after full calls, and never leaves its bounds."""
    size = CallSize(400)
    size.learn(400, 0.9)
    assert size.rows == 400
    size.learn(400, 4.0)
    assert size.rows == 100
    size.learn(100, 100.0)
    assert size.rows == CallSize.ROWS_MIN
    size.learn(3, 0.01)
    assert size.rows == CallSize.ROWS_MIN
    grown = []
    for _ in range(6):
        size.learn(size.rows, 0.1)
        grown.append(size.rows)
    assert grown == [50, 100, 200, 400, 400, 400]
    few = CallSize(4)
    few.learn(4, 30.0)
    assert few.rows == 4


@pytest.mark.parametrize(
    ("canonical", "other"),
    [
        (b'"amount":"100"', b'"amount":"1.00E+2"'),
        (b'"price_per_unit":"0.1"', b'"price_per_unit":"0.10"'),
        (b'"counters":3', b'"counters":3,"later":[1]'),
        (b'"period_end":"2026-08-01T00:00:00Z"', b'"period_end":"2026-08-01T02:00:00+02:00"'),
    ],
)
def test_a_record_in_other_words_gives_the_same_row(canonical: bytes, other: bytes) -> None:
    """What the meter writes goes to Odoo as it is; whoever writes it differently gets the same."""
    one = overage()
    value = one.model_dump_json().encode()
    assert canonical in value
    rows = [read_overage(record(text, key=one.key.encode())) for text in (value, value.replace(canonical, other))]
    for row in rows:
        assert isinstance(row, Rated)
        assert row.row | {"version": list(row.version)} == rated(one).row


@pytest.mark.parametrize(
    ("canonical", "bad"),
    [
        (b'"amount":"100"', b'"amount":"NaN"'),
        (b'"amount":"100"', b'"amount":100.5'),
        (b'"total":"6000000"', b'"total":"' + b"9" * 73 + b'"'),
        (b'"metric":"api_calls"', b'"metric":"API"'),
        (b'"period_end":"2026-08-01T00:00:00Z"', b'"period_end":"2026-02-30T00:00:00Z"'),
        (b'"charge_model":"standard"', b'"charge_model":"free"'),
        (b'"counters":3', b'"counters":"many"'),
    ],
)
def test_what_the_model_refuses_never_reaches_odoo(canonical: bytes, bad: bytes) -> None:
    """The quick way takes nothing that the careful one would not."""
    one = overage()
    value = one.model_dump_json().encode()
    assert canonical in value
    assert isinstance(read_overage(record(value.replace(canonical, bad), key=one.key.encode())), Malformed)


def test_an_id_that_is_not_ascii_is_read() -> None:
    """Ids are counted in bytes; slashes are part of them."""
    one_id = "Straße/7 ü"
    one = overage(one_id)
    found = read_overage(record(one))
    assert isinstance(found, Rated)
    assert found.row["subscription"] == one_id


def test_a_malformed_record_with_readable_key_becomes_a_parked_line() -> None:
    """Its version, where readable, makes it the newest word on its key."""
    bad = read_overage(record(b'{"version":[2,9,1],"currency":"EUR"}', key=b"a/b/c/2026-07-01T00:00:00Z"))
    assert isinstance(bad, Malformed)
    assert bad.line is not None
    assert (bad.line.status, bad.line.version, bad.line.currency) == (LineStatus.PARKED, Version(2, 9, 1), "EUR")
    assert "service" in (bad.line.error or "")


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"nul", b'{"version":[true,1,2]}', b"[" * 100_000])
@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe"])
def test_rubbish_with_an_unreadable_key_has_no_line(value: bytes, key: bytes | None) -> None:
    """It is reported by log and metric only, and raises nothing."""
    bad = read_overage(record(value, key=key))
    assert isinstance(bad, Malformed)
    assert bad.line is None


def test_a_record_under_a_foreign_key_is_malformed() -> None:
    """Compaction would keep it beside the right key's record for ever."""
    one = overage()
    assert isinstance(read_overage(record(one.model_dump_json().encode(), key=b"other")), Malformed)


def test_a_tombstone_is_no_overage() -> None:
    """It is settled without a row."""
    assert read_overage(record(None, key=b"k")) is None


def _result(key: str) -> LineResult:
    return LineResult(
        key=key, status="created", order_id=1, line_id=2, revision=0, amount="100.00", invoiced_amount="0"
    )


def test_a_line_carries_the_result_and_the_version() -> None:
    """What Odoo holds, for which version, in which currency."""
    one = overage(version=(1, 42, 7))
    line = line_of(rated(one).row, one.version, _result(one.key))
    assert (line.key, line.version, line.currency) == (one.key, Version(1, 42, 7), "CAD")
    assert (line.status, line.line_id, str(line.amount)) == (LineStatus.CREATED, 2, "100")


def test_an_answer_that_does_not_match_its_rows_stops_the_role() -> None:
    """Results are matched by order; a wrong order would write the wrong lines."""
    rows = [rated(overage("a")).row, rated(overage("b")).row]
    with pytest.raises(InvariantBroken):
        check_answer(rows, [_result(rows[1]["key"]), _result(rows[0]["key"])])


def test_a_key_is_parked_if_its_newest_version_is() -> None:
    """An older refusal that is told late does not park what was written since; of equal versions the later counts."""
    one, two, three = (overage(name) for name in ("s1", "s2", "s3"))

    def told(of: Overage, offset: int, status: LineStatus) -> Line:
        line = parked_line(of.key, Version(1, offset, 0), "CAD", "why")
        return line.model_copy(update={"status": status})

    lines = [
        told(one, 2, LineStatus.CREATED),
        told(one, 1, LineStatus.PARKED),
        told(two, 1, LineStatus.PARKED),
        told(two, 1, LineStatus.UPDATED),
        told(three, 1, LineStatus.CREATED),
        told(three, 2, LineStatus.PARKED),
    ]
    assert parked_among(lines).keys() == {three.key}
