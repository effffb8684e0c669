"""Fixtures of the sinks' tests: fresh topics, and an app's back end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.sinks_harness import Pipeline, Receiver, make_pipeline, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.kafka import TopicMaker


@pytest.fixture
def sink_topics(kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker) -> Pipeline:
    """Fresh topics and the settings that lead to them."""
    return make_pipeline(kafka_bootstrap, topic_prefix, topics)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An app's back end."""
    with receiving() as receiver:
        yield receiver
