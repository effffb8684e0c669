"""What has been published of a store's aggregates, as far as the next publication depends on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from schemas.catalog import Charge

Name = tuple[str, str, str, int]
"""An aggregate by service, subscription, metric and period start (microseconds since 1970 UTC)."""

Billed = dict[Name, dict[str, Charge]]
"""Per published aggregate, by code, the terms under which its overage records bear an amount."""


@dataclass(slots=True)
class Published:
    """Belongs to the state, is saved with it, and outlives a store that is made anew.

    billed: which charges to withdraw when they cease to apply, and the terms that an invoiced period keeps.
    reached: per aggregate the thresholds that have been reported; they are not reported again in that period.
    held: per aggregate the number of counters published, while the log no longer gives as many; it is not lowered.
    """

    billed: Billed = field(default_factory=dict)
    reached: dict[Name, tuple[str, ...]] = field(default_factory=dict)
    held: dict[Name, int] = field(default_factory=dict)


class Saved(msgspec.Struct):
    """`Published` as a snapshot's header holds it; terms, which many aggregates share, are listed once."""

    terms: list[str]
    billed: list[tuple[Name, dict[str, int]]]
    reached: list[tuple[Name, tuple[str, ...]]]
    held: list[tuple[Name, int]]


def save(published: Published) -> Saved:
    """Return what to save."""
    numbers: dict[Charge, int] = {}
    billed = [
        (name, {code: numbers.setdefault(charge, len(numbers)) for code, charge in charges.items()})
        for name, charges in published.billed.items()
    ]
    terms = [charge.model_dump_json() for charge in numbers]
    return Saved(terms, billed, list(published.reached.items()), list(published.held.items()))


def load(saved: Saved) -> Published:
    """Return what was saved."""
    terms = [Charge.model_validate_json(text) for text in saved.terms]
    billed = {name: _chosen(numbers, terms) for name, numbers in saved.billed}
    return Published(billed, dict(saved.reached), dict(saved.held))


def _chosen(numbers: Mapping[str, int], terms: list[Charge]) -> dict[str, Charge]:
    return {code: terms[number] for code, number in numbers.items()}
