"""An alarm before the meter needs more memory than it was given; it goes on, as refusing counters would lose them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from streams import metrics

# From there on there is time to add a worker or memory.
_ALARM_AT = 0.8
_LOOK_EVERY_S = 5.0
_RESIDENT = "VmRSS:"

log = structlog.get_logger()


def resident_bytes() -> int:
    """Return the memory that this process holds."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(_RESIDENT):
            return int(line.split()[1]) << 10
    return 0


class Alarm:
    """Tells once that the budget is nearly used up, and once that it is not any more."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self.is_raised = False

    def look(self, used_bytes: int) -> None:
        """Compare what is used now with the budget."""
        metrics.MEMORY_USED.set(used_bytes)
        metrics.MEMORY_BUDGET.set(self._budget_bytes)
        is_near = used_bytes >= self._budget_bytes * _ALARM_AT
        if is_near and not self.is_raised:
            log.error("memory.nearly_used_up", used_bytes=used_bytes, budget_bytes=self._budget_bytes)
        elif self.is_raised and not is_near:
            log.info("memory.eased", used_bytes=used_bytes, budget_bytes=self._budget_bytes)
        self.is_raised = is_near


async def watch(budget_bytes: int, used_bytes: Callable[[], int] = resident_bytes) -> None:
    """Compare the process's memory with the budget every few seconds, for ever."""
    alarm = Alarm(budget_bytes)
    while True:
        alarm.look(used_bytes())
        await asyncio.sleep(_LOOK_EVERY_S)
