"""The alarm comes before the budget is used up, once, and can be told from the metrics."""

import numpy as np
import structlog

from streams import metrics
from streams.memory_budget import Alarm, resident_bytes

MIB = 1 << 20


def test_the_alarm_comes_before_the_budget_is_used_up_and_once() -> None:
    """Below four fifths nothing; above it one log line, until it has eased."""
    alarm = Alarm(100 * MIB)
    with structlog.testing.capture_logs() as told:
        for used in (10, 79, 80, 95, 130, 70, 81):
            alarm.look(used * MIB)
    assert [each["event"] for each in told] == ["memory.nearly_used_up", "memory.eased", "memory.nearly_used_up"]
    assert metrics.MEMORY_USED._value.get() == 81 * MIB
    assert metrics.MEMORY_BUDGET._value.get() == 100 * MIB


def test_what_the_process_holds_is_seen() -> None:
    """Sixty-four touched megabytes more are sixty-four megabytes more, give or take what was free before."""
    before = resident_bytes()
    held = np.ones(64 * MIB, np.uint8)
    assert resident_bytes() - before > 32 * MIB
    assert held[-1] == 1
