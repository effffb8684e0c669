"""How counters of each metric have been treated: totals must not depend on when the catalog told what holds."""

from typing import TypeVar

_MIXED = "\0"  # some counters were treated one way, some another; no treatment is called so

_How = TypeVar("_How", str, str | None)


def note(treatments: dict[tuple[str, str], _How], name: tuple[str, str], how: _How) -> None:
    """Note how counters of a (service, metric) are treated now."""
    if treatments.setdefault(name, how) != how:
        treatments[name] = _MIXED
