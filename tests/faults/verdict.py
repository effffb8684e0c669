"""What a cold reader of the derived topics holds, compared with the reference model: what was lost, what doubled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.faults.reference_model import Model

Refusals = list[tuple[int | None, str]]
_SHOWN = 8


@dataclass(slots=True)
class Verdict:
    """How far the published state is from the model's.

    lost: counters, replacements, amounts and refusals that are missing or stand at an older value; doubled: what
    counts more often than it was sent, or more than its last value.
    """

    lost: int = 0
    doubled: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """True when nothing differs at all."""
        return not self.differences

    def note(self, what: str, *, lost: int = 0, doubled: int = 0) -> None:
        """One difference."""
        self.lost += lost
        self.doubled += doubled
        self.differences.append(what)

    def require(self) -> None:
        """Fail with the first differences, if there are any."""
        shown = "; ".join(self.differences[:_SHOWN])
        found = f"{self.lost} lost, {self.doubled} doubled, {len(self.differences)} differences"
        assert self.is_exact, f"{found}: {shown}"


@dataclass(frozen=True, slots=True)
class Published:
    """The records of the derived topics, oldest first per partition."""

    totals: list[Any]
    overages: list[Any]
    rejected: list[Any]


def judge(published: Published, model: Model) -> Verdict:
    """Compare everything: totals, amounts, refusals, and that the last word of each key is its newest version."""
    verdict = Verdict()
    totals = _newest("totals", published.totals, verdict)
    wrong = _judge_totals(totals, model, verdict)
    _judge_overages(_newest("overage", published.overages, verdict), model, wrong, verdict)
    _judge_refusals(refusals(published.rejected), model.rejected, verdict)
    return verdict


def newest(records: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """The greatest version of each key, which must be its last word as well, or compaction would take the truth."""
    verdict = Verdict()
    found = _newest("records", records, verdict)
    verdict.require()
    return found


def refusals(records: Iterable[Any]) -> dict[tuple[int, int], list[Refusals]]:
    """The refusals by source record, once per record of the topic."""
    found: dict[tuple[int, int], list[Refusals]] = {}
    for record in records:
        value = json.loads(record.value)
        refused = [(each["index"], each["reason"]) for each in value["refusals"]]
        found.setdefault((value["partition"], value["offset"]), []).append(refused)
    return found


def _newest(what: str, records: Iterable[Any], verdict: Verdict) -> dict[str, dict[str, Any]]:
    by_version: dict[str, dict[str, Any]] = {}
    last_word: dict[str, dict[str, Any]] = {}
    for record in records:
        key, value = record.key.decode(), json.loads(record.value)
        last_word[key] = value
        if key not in by_version or value["version"] >= by_version[key]["version"]:
            by_version[key] = value
    for key, value in by_version.items():
        if last_word[key] != value:
            verdict.note(f"{what} {key}: version {last_word[key]['version']} after {value['version']}", lost=1)
    return by_version


def _judge_totals(totals: Mapping[str, Any], model: Model, verdict: Verdict) -> set[str]:
    """Judge the totals; returns the keys that are wrong."""
    actual = {
        key: (Decimal(value["quantity"]), int(value["counters"]))
        for key, value in totals.items()
        if value["counters"] or Decimal(value["quantity"])
    }
    expected, wrong = model.totals(), set()
    for key in sorted(actual.keys() | expected.keys()):
        (quantity, counters), (due, sent) = actual.get(key, _NOTHING), expected.get(key, _NOTHING)
        if (quantity, counters) == (due, sent):
            continue
        wrong.add(key)
        lost, doubled = max(0, sent - counters), max(0, counters - sent)
        if counters == sent:
            lost, doubled = int(quantity < due), int(quantity > due)
        verdict.note(f"{key}: {quantity} of {counters}, should be {due} of {sent}", lost=lost, doubled=doubled)
    return wrong


def _judge_overages(overages: Mapping[str, Any], model: Model, wrong: set[str], verdict: Verdict) -> None:
    """Judge the amounts; those that follow from a wrong total count as part of that."""
    actual = {
        key: (Decimal(value["total"]), Decimal(value["amount"]))
        for key, value in overages.items()
        if value["counters"] or Decimal(value["amount"])
    }
    expected = model.overages()
    for key in sorted(actual.keys() | expected.keys()):
        if actual.get(key) != expected.get(key):
            lost = 0 if wrong else 1
            verdict.note(f"overage {key}: {actual.get(key)}, should be {expected.get(key)}", lost=lost)


def _judge_refusals(
    actual: Mapping[tuple[int, int], list[Refusals]], expected: Mapping[tuple[int, int], Refusals], verdict: Verdict
) -> None:
    for place in sorted(actual.keys() | expected.keys()):
        found, due = actual.get(place, []), expected.get(place)
        if due is None:
            verdict.note(f"rejected {place}: {found}, should be good", lost=1)
        elif found != [due]:
            lost, doubled = int(due not in found), max(0, len(found) - 1)
            verdict.note(f"rejected {place}: {found}, should be {due} once", lost=lost, doubled=doubled)


_NOTHING = (Decimal(0), 0)
