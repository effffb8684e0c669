"""Which real stack the tests use, and what happens when there is none.

`./deploy/test` starts one in `.local/test` and names it in FUSION_TEST_STACK; `./deploy/test --keep` leaves it
running, so that a plain `pytest` finds it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from deploy.local.settings import REPOSITORY, LocalSettings
from deploy.local.stack import Stack

DEFAULT_DIRECTORY = Path(".local/test")
_DIRECTORY = pytest.StashKey[Path]()
_MUST_RUN = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Note which stack to use, then forget every setting of the product that the caller's shell may hold."""
    config.stash[_DIRECTORY] = Path(os.environ.get("FUSION_TEST_STACK", DEFAULT_DIRECTORY))
    config.stash[_MUST_RUN] = "FUSION_TEST_STACK" in os.environ or os.environ.get("CI") == "true"
    for name in [name for name in os.environ if name.startswith("FUSION_")]:
        del os.environ[name]


def missing(config: pytest.Config, what: str) -> NoReturn:
    """Skip on a laptop, fail where the stack is promised."""
    reason = f"{what} does not run; start it with ./deploy/test --keep"
    if config.stash[_MUST_RUN]:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Stack:
    """The running test stack: Kafka, PostgreSQL and the prepared Odoo databases."""
    directory = pytestconfig.stash[_DIRECTORY]
    if not (REPOSITORY / directory / "run").is_dir():
        missing(pytestconfig, "the test stack")
    return Stack.of(LocalSettings(dir=directory, kafka_fast_start=True, postgres_fsync=False))
