"""The meter as its users run it: `fusion-billing meter`, a process of its own, with everything switched on."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.bench.common.child import Child, running
from deploy.bench.common.scrape import Samples, is_ready, scrape
from deploy.local import programs
from deploy.local.ports import draw_free_port
from deploy.local.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deploy.bench.common.broker import BenchBroker


@dataclass(frozen=True, slots=True)
class Meter:
    """A running meter and its operator's port."""

    child: Child
    ops_port: int

    def samples(self) -> Samples:
        """Its metrics now; empty while it starts.

        Raises: BenchmarkFailed when it has ended.
        """
        self.child.check_alive()
        return scrape(self.ops_port)

    def is_ready(self) -> bool:
        """True when it says that it does its work.

        Raises: BenchmarkFailed when it has ended.
        """
        self.child.check_alive()
        return is_ready(self.ops_port)


@contextmanager
def meter(broker: BenchBroker, prefix: str, folder: Path, variables: Mapping[str, str]) -> Iterator[Meter]:
    """A meter on the topics below `prefix` with its snapshots in `folder`; gone at the end of the block."""
    ops_port = draw_free_port()
    own = {
        "FUSION_KAFKA_BOOTSTRAP": broker.bootstrap,
        "FUSION_TOPIC_PREFIX": prefix,
        "FUSION_METER_DATA_DIR": str(folder / "snapshots"),
        "FUSION_OPS_PORT": str(ops_port),
        **variables,
    }
    inherited = {name: value for name, value in programs.clean_environment().items() if not name.startswith("FUSION_")}
    command = programs.find("fusion-billing", Path(sys.executable).parent)
    log = folder / "meter.log"
    with running("the meter", [command, "meter"], {**inherited, **own}, log, REPOSITORY) as child:
        yield Meter(child, ops_port)


def applied_records(samples: Samples, first: Mapping[int, int]) -> int:
    """How many records the stores have applied, counted from each partition's offset `first`."""
    offsets = samples.get("fusion_applied_offset", {})
    return sum(max(0, int(offsets.get(str(number), -1)) + 1 - start) for number, start in first.items())
