"""The lab that tests of the meter work in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.meter_lab import MeterLab, open_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lab(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[MeterLab]:
    """Fresh topics on the shared broker, and a catalog with the subscriptions s0, s1, …."""
    with open_lab(kafka_bootstrap, topic_prefix, tmp_path) as lab:
        yield lab
