"""Fixtures for all tests: a scrubbed environment, and the real stack where a test asks for it."""

pytest_plugins = ["tests.stack.running", "tests.stack.kafka", "tests.stack.odoo", "tests.stack.pipeline"]
