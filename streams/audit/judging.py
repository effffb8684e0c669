"""What an audit finds: published records judged against what a replay of the log says they must be. Pure.

A live pipeline moves on while it is looked at. Two values are drift only where their ages allow to compare them; what
cannot be compared yet is said to be pending, never drift.
"""

from collections import Counter as Tally
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from schemas.derived import Overage, Total, Version
from schemas.money import format_decimal
from streams.partition.derived_records import is_withdrawn


class Where(StrEnum):
    """What was compared."""

    TOTALS = "totals.v1"
    OVERAGE = "overage.v1"
    LINES = "lines.v1"
    USAGE = "odoo usage"
    ORDER_LINES = "odoo order lines"
    INVOICES = "odoo invoices"


class Outcome(StrEnum):
    """What a comparison came to."""

    EQUAL = "equal"
    DRIFT = "drift"
    PENDING = "pending"  # of different ages; a later audit can tell
    BEYOND = "beyond"  # the log does not reach back to its first counters any more
    PARKED = "parked"  # Odoo refused it and a person has to decide


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison that is not simply equal."""

    where: Where
    key: str
    outcome: Outcome
    expected: str
    found: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far one can see: the log holds [first, log_end), replayed was up to `end`, published up to `published`.

    `starts_at`: time of the first record, null for an empty log; `catalog_offset`: the position that was rated by.
    """

    epoch: int
    first: int
    end: int
    log_end: int
    published: int
    catalog_offset: int
    starts_at: datetime | None = None

    def may_miss(self, period_start: datetime) -> bool:
        """Tell whether counters of a period may have left the log, so that a replay cannot know its total."""
        return self.first > 0 and (self.starts_at is None or period_start < self.starts_at)


@dataclass(slots=True)
class Report:
    """All comparisons of an audit: how many, and each that was not equal."""

    tally: Tally[tuple[Where, Outcome]] = field(default_factory=Tally)
    findings: list[Finding] = field(default_factory=list)

    def note(self, finding: Finding) -> None:
        """Take in one comparison."""
        self.tally[finding.where, finding.outcome] += 1
        if finding.outcome is not Outcome.EQUAL:
            self.findings.append(finding)

    def merge(self, other: "Report") -> None:
        """Take in another report."""
        self.tally.update(other.tally)
        self.findings += other.findings

    def of(self, outcome: Outcome) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.outcome is outcome]

    def count(self, where: Where, *outcomes: Outcome) -> int:
        """Return how many comparisons came to one of these outcomes; without any, how many there were."""
        return sum(self.tally[where, outcome] for outcome in outcomes or Outcome)


def judge_total(key: str, expected: Total | None, found: Total | None, horizon: Horizon) -> Finding:
    """Compare a total with what was published under its key; no record and a record of no counters say the same."""
    says = (_total_says(expected), _total_says(found))
    return _judge(Where.TOTALS, key, says, _Ages.of(expected, found), horizon)


def judge_overage(key: str, expected: Overage | None, found: Overage | None, horizon: Horizon) -> Finding:
    """Compare a rated charge with what was published under its key, terms included."""
    says = (_overage_says(expected), _overage_says(found))
    if found is not None and found.version.catalog_offset > horizon.catalog_offset and says[0] != says[1]:
        return Finding(Where.OVERAGE, key, Outcome.PENDING, *says, "rated by a newer catalog")
    return _judge(Where.OVERAGE, key, says, _Ages.of(expected, found), horizon)


def judge_last_word(where: Where, key: str, newest: Version, last: Version) -> Finding:
    """Report a compacted topic whose last record of a key is not its newest: compaction would take the truth away."""
    return Finding(where, key, Outcome.DRIFT, f"version {list(newest)} last", f"version {list(last)} last")


@dataclass(frozen=True, slots=True)
class _Ages:
    expected: Version | None
    found: Version | None
    period_start: datetime | None

    @classmethod
    def of(cls, expected: Total | Overage | None, found: Total | Overage | None) -> "_Ages":
        one = expected or found
        return cls(
            None if expected is None else expected.version,
            None if found is None else found.version,
            None if one is None else one.period_start,
        )


def _judge(where: Where, key: str, says: tuple[str, str], ages: _Ages, horizon: Horizon) -> Finding:
    if says[0] == says[1]:
        return Finding(where, key, Outcome.EQUAL, *says)
    expected, found = ages.expected, ages.found
    if found is not None and found.epoch < horizon.epoch:
        return Finding(where, key, Outcome.BEYOND, *says, "of an earlier usage topic")
    if ages.period_start is not None and horizon.may_miss(ages.period_start):
        return Finding(where, key, Outcome.BEYOND, *says, "its first counters may have left the log")
    if found is not None and horizon.end <= found.source_offset < horizon.log_end:
        return Finding(where, key, Outcome.PENDING, *says, "has moved on since")
    is_older = found is None or expected is None or found.source_offset < expected.source_offset
    if is_older and expected is not None and expected.source_offset >= horizon.published:
        return Finding(where, key, Outcome.PENDING, *says, "not published yet")
    return Finding(where, key, Outcome.DRIFT, *says)


def _total_says(total: Total | None) -> str:
    if total is None or not (total.counters or total.quantity):
        return "nothing"
    return f"{total.aggregation} {format_decimal(total.quantity)} of {total.counters} until {total.period_end:%F %T}"


def _overage_says(overage: Overage | None) -> str:
    if overage is None or (not overage.amount and (not overage.counters or is_withdrawn(overage))):
        return "nothing"
    numbers = {name: format_decimal(getattr(overage, name)) for name in _OVERAGE_NUMBERS}
    return (
        "{amount} {currency} for {total} ({billable_units} over {quota}:"
        " {batches} at {price} per {batch_size}, {model})"
    ).format(**numbers, currency=overage.currency, model=overage.charge_model, price=_price(overage))


_OVERAGE_NUMBERS = ("amount", "total", "billable_units", "quota", "batches", "batch_size")


def _price(overage: Overage) -> str:
    """Return the price, or of tiers each bound with its price and fee."""
    if not overage.tiers:
        return format_decimal(overage.price_per_unit)
    tiers = ((tier.up_to, tier.price_per_unit, tier.flat_fee) for tier in overage.tiers)
    return " ".join(f"≤{up_to or '∞'}:{format_decimal(price)}+{format_decimal(fee)}" for up_to, price, fee in tiers)


def as_document(report: Report) -> dict[str, Any]:
    """Return a report as JSON: counts by what was compared, and each difference."""
    return {
        "compared": sum(report.tally.values()),
        **{outcome.value: sum(report.count(where, outcome) for where in Where) for outcome in Outcome},
        "by_source": {where.value: dict(_counts(report, where)) for where in Where if report.count(where)},
        "findings": [
            {
                "where": each.where.value,
                "key": each.key,
                "outcome": each.outcome.value,
                "expected": each.expected,
                "found": each.found,
                "why": each.why,
            }
            for each in report.findings
        ],
    }


def _counts(report: Report, where: Where) -> Iterator[tuple[str, int]]:
    yield "compared", report.count(where)
    yield from ((outcome.value, report.count(where, outcome)) for outcome in Outcome)
