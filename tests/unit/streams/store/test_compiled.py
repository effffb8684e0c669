"""An installation that nobody may write to: the loops work, and are kept where there is room."""

import os
import resource
import subprocess
import sys
from pathlib import Path

from deploy.local.settings import REPOSITORY

_LOOP = """
from streams.store.compiled import compiled

@compiled
def doubled(number):
    return 2 * number
"""
_PROGRAM = """
import resource, sys
from pathlib import Path
from streams.store import compiled
import loop
compiled.keep_in(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
print(loop.doubled(21))
"""


def run(folder: Path, kept: Path, file_bytes_max: int = resource.RLIM_INFINITY) -> str:
    """The output of a program whose loop lies where nothing can be written, the user's cache neither."""
    (folder / "loop.py").write_text(_LOOP)
    # No directories, so nothing can be made in them, not even by root.
    (folder / "__pycache__").touch()
    (folder / "cache").touch()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")} | {
        "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HOME": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(kept), str(file_bytes_max)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_cannot_be_kept_beside_its_source_is_kept_in_the_given_directory(tmp_path: Path) -> None:
    """So the next start finds it compiled."""
    kept = tmp_path / "kept"
    assert run(tmp_path, kept) == "42\n"
    assert list(kept.rglob("loop.doubled-*.nbi"))


def test_without_any_place_it_is_compiled_at_each_start(tmp_path: Path) -> None:
    """That takes longer and is said; it is no reason not to start."""
    kept = tmp_path / "kept"
    kept.touch()
    output = run(tmp_path, kept)
    assert output.endswith("42\n")
    assert "kernels.not_kept" in output


def test_a_full_disk_costs_the_next_start_its_time(tmp_path: Path) -> None:
    """The system refuses to let a file grow beyond some bytes; the loop works all the same."""
    output = run(tmp_path, tmp_path / "kept", file_bytes_max=16)
    assert output.endswith("42\n")
    assert "kernels.not_kept" in output
