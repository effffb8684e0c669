"""Two meters never share a directory; what a dead one leaves behind keeps nobody out."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from streams.data_directory import locked

HOLD = """
import sys, time
from pathlib import Path
from streams.data_directory import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_a_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    """The second is told which setting to change; afterwards it is free again."""
    directory = tmp_path / "new" / "meter"
    with (
        locked(directory),
        pytest.raises(ConfigurationError, match=r"FUSION_METER_DATA_DIR.*new/meter"),
        locked(directory, wait_s=0),
    ):
        pass
    with locked(directory, wait_s=0):
        pass


def test_a_killed_owner_keeps_nobody_out(tmp_path: Path) -> None:
    """The lock is the kernel's: it goes with the process."""
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"locked\n"
        with pytest.raises(ConfigurationError), locked(tmp_path, wait_s=0):
            pass
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.communicate()
    with locked(tmp_path):
        pass
