"""The Faust app around the meter: an error that the meter does not see itself ends the process as well."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from schemas.settings import load
from streams.app import create_app

if TYPE_CHECKING:
    from streams.meter import Meter


class BrokenMeter:
    """Fails where no handler of its own looks; keeps what it is told to end the process with."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []

    async def apply(self, *_: Any) -> bool:
        """As if anything around the meter's own work had failed."""
        raise ValueError("out of place")

    def fail(self, error: BaseException) -> None:
        """What ends the process."""
        self.failures.append(error)


async def test_an_error_in_the_agent_ends_the_process(tmp_path: Path) -> None:
    """Faust alone would start the agent again behind the lost records."""
    meter = BrokenMeter()
    app = create_app(load({}, meter_data_dir=tmp_path), cast("Meter", meter))
    app.conf.store = "memory://"
    app.finalize()
    [agent] = app.agents.values()
    assert agent._on_error is not None
    error = ValueError("out of place")
    await agent._on_error(agent, error)
    assert meter.failures == [error]
