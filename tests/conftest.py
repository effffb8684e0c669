"""Fixtures for all tests: a scrubbed environment, and the real stack where a test asks for it."""

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.stack.running",
    "tests.stack.kafka",
    "tests.stack.odoo",
    "tests.stack.meter",
    "tests.stack.pipeline",
    "tests.stack.sinks",
    "tests.stack.fault_table",
]

_SLOW = ("faults", "odoo", "kafka")

# The same examples in every run, so that a red one is the change's doing; how long a busy machine takes to draw them
# says nothing. `./deploy/test --faults` fuzzes with examples drawn anew.
settings.register_profile(
    "suite", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the pictures of the documentation are kept, when somebody makes them anew."""
    parser.addoption("--screens", metavar="FOLDER", help="keep the screenshots of tests/integration/test_odoo_screens")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the modules that wait for servers, so that the quick ones fill both processes at the end.

    Behind pytest-randomly: modules stay in random order among their like.
    """
    slow_modules = {item.path for item in items if any(item.get_closest_marker(name) for name in _SLOW)}
    items.sort(key=lambda item: item.path not in slow_modules)
