"""What can go wrong in a benchmark.

BenchmarkFailed     one sentence for a person, then exit 1; never a figure that was not measured
"""

from __future__ import annotations

from deploy.local.errors import LocalStackError


class BenchmarkFailed(LocalStackError):
    """A part of the benchmark ended, or did not get there in time."""
