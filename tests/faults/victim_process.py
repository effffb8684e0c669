"""A meter process that does at its failpoints what a test asks for, and may carry a planted bug.

The test writes its wishes into a file, `[[point, action, n], …]`, one after the other. At the n-th pass a wish is
removed before it is granted, so that the process that is started next does not do it again. Actions:

- kill: the process is gone, as in a power cut;
- stop: it stands still until somebody continues it;
- fail: the step fails as it does when broker or disk are away;
- at the point `delivery`, on the records that Faust brings: drop the first half of a fetch, repeat the fetch before
  it, or reverse it.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

DELIVERY = "delivery"
# A fetch with fewer records than this has no half to drop.
_RECORDS_MIN = 2


def run_victim(variables: dict[str, str], log: Path, wishes: Path, mutant: str | None) -> None:
    """Be a meter process; whatever it says goes to `log`."""
    from deploy.roles import run_meter  # noqa: PLC0415 -- imported ahead, in the process that this one is a fork of
    from streams import failpoints  # noqa: PLC0415
    from streams.meter import Meter  # noqa: PLC0415

    with log.open("ab") as file:
        for output in (1, 2):
            os.dup2(file.fileno(), output)
    for name in [name for name in os.environ if name.startswith("FUSION_")]:
        del os.environ[name]
    os.environ.update(variables)
    if mutant is not None:
        from tests.faults import mutants  # noqa: PLC0415

        mutants.plant(mutant)
    obedient = _Obedient(wishes)
    failpoints.arm(obedient.pass_point)
    _deliver_through(Meter, obedient)
    run_meter()


@dataclass(slots=True)
class _Obedient:
    """Does what the file of wishes asks for."""

    wishes: Path
    passed: int = 0
    _delivered: dict[int, list[Any]] = field(default_factory=dict)

    def pass_point(self, name: str) -> None:
        """Called at each failpoint, in whatever thread."""
        match self._granted(name):
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "fail":
                raise OSError(f"failpoint {name}")

    def deliver(self, partition: int, records: list[Any]) -> list[Any]:
        """What arrives of the records that Faust brings."""
        before = self._delivered.get(partition, [])
        self._delivered[partition] = records
        if len(records) < _RECORDS_MIN or not before:
            return records
        match self._granted(DELIVERY):
            case "drop":
                return records[len(records) // 2 :]
            case "repeat":
                return before + records
            case "reverse":
                return records[::-1]
        return records

    def _granted(self, point: str) -> str | None:
        """The action to do now, or null."""
        try:
            (wished, action, times), *rest = json.loads(self.wishes.read_text())
        except FileNotFoundError:
            self.passed = 0
            return None
        if wished != point:
            return None
        self.passed += 1
        if self.passed < times:
            return None
        self.passed = 0
        if rest:
            later = self.wishes.with_suffix(".rest")
            later.write_text(json.dumps(rest))
            later.replace(self.wishes)
        else:
            self.wishes.unlink(missing_ok=True)
        return str(action)


def _deliver_through(meter: Any, obedient: _Obedient) -> None:
    original = meter.apply

    async def apply(self: Any, partition: int, records: Any) -> bool:
        return bool(await original(self, partition, obedient.deliver(partition, list(records))))

    meter.apply = apply
