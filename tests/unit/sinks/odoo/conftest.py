"""What the sink's tests have on both sides of it."""

import pytest

from tests.unit.sinks.fakes import FakeOdoo, FakePublisher


@pytest.fixture
def odoo() -> FakeOdoo:
    """Return an empty Odoo."""
    return FakeOdoo()


@pytest.fixture
def publisher() -> FakePublisher:
    """Return an empty publisher."""
    return FakePublisher()
