"""Billing periods: the tables of month ends, leap years and clock changes, and that periods tile all time."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.catalog import COUNT_MAX
from schemas.periods import Cycle, Period, add_months, format_instant, parse_instant, period_of
from tests.unit.schemas import strategies

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Toronto",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Cairo",  # midnights that do not exist
    "America/Havana",  # midnights that come twice
    "Asia/Beirut",
    "Pacific/Apia",  # a day that does not exist
]
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("anchor", "unit", "count", "boundaries"),
    [
        ("2026-01-31", "month", 1, "2026-02-28 2026-03-31 2026-04-30 2026-05-31 2026-06-30"),
        ("2024-01-31", "month", 1, "2024-02-29 2024-03-31 2024-04-30 2024-05-31"),
        ("2026-01-30", "month", 1, "2026-02-28 2026-03-30 2026-04-30"),
        ("2025-11-30", "month", 3, "2026-02-28 2026-05-30 2026-08-30 2026-11-30"),
        ("2024-02-29", "year", 1, "2025-02-28 2026-02-28 2027-02-28 2028-02-29"),
        ("2026-08-31", "month", 6, "2027-02-28 2027-08-31"),
        ("2026-07-01", "week", 1, "2026-07-08 2026-07-15"),
        ("2026-07-01", "day", 10, "2026-07-11 2026-07-21"),
        ("2024-02-29", "year", 4, "2028-02-29 2032-02-29"),
    ],
)
def test_boundaries_are_counted_from_the_anchor(anchor: str, unit: str, count: int, boundaries: str) -> None:
    """A month end that was clamped once is a month end again in a longer month."""
    cycle = Cycle(date.fromisoformat(anchor), unit, count, "UTC")
    instant = datetime.combine(cycle.anchor, time(), UTC)
    for boundary in boundaries.split():
        period = period_of(instant, cycle)
        assert period.end == datetime.combine(date.fromisoformat(boundary), time(), UTC)
        assert period.start == instant
        instant = period.end


@pytest.mark.parametrize(
    ("zone", "day", "start", "end", "hours"),
    [
        ("Europe/Berlin", "2026-03-15", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", 743),
        ("Europe/Berlin", "2026-10-15", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", 745),
        ("America/Toronto", "2026-11-15", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z", 721),
        ("Asia/Kolkata", "2026-02-15", "2026-01-31T18:30:00Z", "2026-02-28T18:30:00Z", 672),
        ("Australia/Lord_Howe", "2026-04-15", "2026-03-31T13:00:00Z", "2026-04-30T13:30:00Z", 720.5),
    ],
)
def test_a_month_is_local(zone: str, day: str, start: str, end: str, hours: float) -> None:
    """From local midnight to local midnight, whatever the clocks did between."""
    instant = datetime.combine(date.fromisoformat(day), time(12), UTC)
    period = period_of(instant, Cycle(date(2020, 1, 1), "month", 1, zone))
    assert (format_instant(period.start), format_instant(period.end)) == (start, end)
    assert period.end - period.start == timedelta(hours=hours)


def test_a_counter_belongs_to_its_local_day() -> None:
    """01:30 UTC on 1 August is still July in Toronto."""
    period = period_of(parse_instant("2026-08-01T01:30:00Z"), Cycle(date(2026, 1, 1), "month", 1, "America/Toronto"))
    assert format_instant(period.end) == "2026-08-01T04:00:00Z"


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z"),  # 00:00 does not exist: the day starts at 01:00
        ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00Z"),
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"),  # 00:00 comes twice: the day starts at the first
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),  # 30 December was skipped
    ],
)
def test_a_period_starts_with_the_first_instant_of_its_day(zone: str, day: str, start: str) -> None:
    """Also where midnight is missing or doubled."""
    first = parse_instant(start)
    cycle = Cycle(date.fromisoformat(day), "day", 1, zone)
    assert period_of(first, cycle).start == first
    assert first.astimezone(ZoneInfo(zone)).date() == date.fromisoformat(day)
    assert (first - MICROSECOND).astimezone(ZoneInfo(zone)).date() < date.fromisoformat(day)


cycles = st.builds(
    Cycle,
    st.dates(date(1980, 1, 1), date(2100, 12, 31)),
    st.sampled_from(["day", "week", "month", "year"]),
    st.integers(1, 13),
    st.sampled_from(ZONES),
)
_instants = st.datetimes(datetime(1975, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(cycles, _instants)
@example(Cycle(date(2026, 1, 31), "month", 1, "America/Toronto"), datetime(1999, 12, 31, tzinfo=UTC))
@example(Cycle(date(2011, 12, 1), "day", 1, "Pacific/Apia"), datetime(2011, 12, 30, 10, tzinfo=UTC))
def test_every_instant_lies_in_exactly_one_period(cycle: Cycle, instant: datetime) -> None:
    """Before the anchor, too; the next period starts where this one ends, and the last one ended where it starts."""
    period = period_of(instant, cycle)
    assert instant in period
    assert period.start < period.end
    assert period_of(period.start, cycle) == period
    assert period_of(period.end - MICROSECOND, cycle) == period
    assert period_of(period.end, cycle).start == period.end
    assert period_of(period.start - MICROSECOND, cycle).end == period.start


@given(cycles, _instants)
def test_every_boundary_is_a_whole_number_of_intervals_from_the_anchor(cycle: Cycle, instant: datetime) -> None:
    """By walking over dates, which shares no code with the module."""
    zone = ZoneInfo(cycle.time_zone)
    start = period_of(instant, cycle).start.astimezone(zone).date()
    if cycle.time_zone == "Pacific/Apia" and start == date(2011, 12, 31):
        return  # the boundary may be that of the day that was skipped
    if cycle.unit in {"day", "week"}:
        assert (start - cycle.anchor).days % (cycle.count * {"day": 1, "week": 7}[cycle.unit]) == 0
        return
    months = (start.year - cycle.anchor.year) * 12 + start.month - cycle.anchor.month
    assert months % (cycle.count * {"month": 1, "year": 12}[cycle.unit]) == 0
    is_month_end = (start + timedelta(days=1)).month != start.month
    assert start.day == cycle.anchor.day or (start.day < cycle.anchor.day and is_month_end)


@given(st.dates(date(1971, 1, 1), date(2200, 1, 1)), st.sampled_from(["day", "week", "month", "year"]))
def test_the_longest_interval_does_not_leave_the_calendar(anchor: date, unit: str) -> None:
    """At both ends of what an instant may be."""
    for text in ("1971-01-02T00:00:00Z", "8999-12-30T00:00:00Z"):
        instant = parse_instant(text)
        assert instant in period_of(instant, Cycle(anchor, unit, COUNT_MAX, "UTC"))


def test_a_period_is_half_open() -> None:
    """Its start counts, its end belongs to the next."""
    period = Period(parse_instant("2026-07-01T00:00:00Z"), parse_instant("2026-08-01T00:00:00Z"))
    assert period.start in period
    assert period.end - MICROSECOND in period
    assert period.end not in period


def test_months_are_added_with_the_day_clamped() -> None:
    """Forwards and backwards, over years."""
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert add_months(date(2026, 1, 31), -2) == date(2025, 11, 30)
    assert add_months(date(2024, 2, 29), 48) == date(2028, 2, 29)


@given(strategies.instants)
def test_every_instant_survives_text(instant: datetime) -> None:
    """To the microsecond."""
    assert parse_instant(format_instant(instant)) == instant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-01T00:00:00Z", "2026-07-01T00:00:00Z"),
        ("2026-07-01t00:00:00z", "2026-07-01T00:00:00Z"),
        ("2026-07-01 00:00Z", "2026-07-01T00:00:00Z"),
        ("2026-07-01T02:00:00+02:00", "2026-07-01T00:00:00Z"),
        ("2026-06-30T18:30:00.25-05:30", "2026-07-01T00:00:00.250000Z"),
        ("2026-07-01T00:00:00.1234567Z", "2026-07-01T00:00:00.123456Z"),
        ("1970-12-31T23:30:00-01:00", "1971-01-01T00:30:00Z"),
        ("9000-01-01T00:30:00+01:00", "8999-12-31T23:30:00Z"),
    ],
)
def test_instants_are_read_with_any_offset(text: str, expected: str) -> None:
    """And written in UTC with Z; the year that counts is that of UTC."""
    assert format_instant(parse_instant(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-07-01",
        "2026-07-01T00:00:00",
        "2026-07-01T00:00:00 Z",
        "2026-07-01T00:00:00Z\n",
        "2026-07-01T24:00:00Z",
        "2026-07-01T00:00:60Z",
        "2026-07-01T00:00:00,5Z",
        "2026-07-01T00:00:00+0200",
        "2026-07-01T00:00:00+02:00:30",
        "2026-07-01T00:00:00+24:00",
        "2026-02-30T00:00:00Z",
        "2026-W27-3T00:00:00Z",
        "20260701T000000Z",
        "\u0662\u0660\u0662\u0666-07-01T00:00:00Z",
        "1782864000",
        "1970-12-31T23:59:59Z",
        "1971-01-01T00:30:00+01:00",
        "9000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """With an error that says what would be right."""
    with pytest.raises(ValueError, match=r"^must "):
        parse_instant(text)
