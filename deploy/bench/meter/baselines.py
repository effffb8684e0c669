"""The figures that must hold, from tests/benchmarks/baselines.json: on two cores shared with the broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deploy.local.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS = {"at_least": "at least", "at_most": "at most"}
_FILE = REPOSITORY / "tests" / "benchmarks" / "baselines.json"


def missed(figures: Mapping[str, Any]) -> list[str]:
    """Each figure that is worse than its bound, in words; one that was not measured misses nothing."""
    bounds = json.loads(_FILE.read_text())["meter"] if _FILE.exists() else {}
    return [
        f"{name} is {figures[name]:,}, must be {_WORDS[word]} {bound:,}"
        for name, limits in bounds.items()
        for word, bound in limits.items()
        if figures.get(name) is not None and not _holds(figures[name], word, bound)
    ]


def _holds(value: float, word: str, bound: float) -> bool:
    return value >= bound if word == "at_least" else value <= bound
