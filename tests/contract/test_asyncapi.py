"""The AsyncAPI document names every topic and every message, and each reference in it leads somewhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.settings import REPOSITORY
from schemas.documents import GENERATED
from schemas.messages import MESSAGES
from schemas.topics import TOPICS, Topic, topic_config

FOLDER = REPOSITORY / GENERATED


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the document as it is committed."""
    loaded: dict[str, Any] = json.loads((FOLDER / "asyncapi.json").read_text())
    return loaded


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, child in node.items():
            if name == "$ref":
                yield child
            else:
                yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)


def _resolve(document: dict[str, Any], reference: str, folder: Path = FOLDER) -> Any:
    file_name, _, pointer = reference.partition("#")
    node = json.loads((folder / file_name).read_text()) if file_name else document
    for step in pointer.strip("/").split("/") if pointer else ():
        node = node[step]
    return node


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Within the document and to the JSON Schemas beside it."""
    references = list(_references(document))
    assert len(references) > len(MESSAGES)
    for reference in references:
        assert _resolve(document, reference)


def test_a_dangling_reference_is_found(document: dict[str, Any]) -> None:
    """The check above can fail."""
    with pytest.raises(KeyError):
        _resolve(document, "#/components/messages/nothing")
    with pytest.raises(FileNotFoundError):
        _resolve(document, "nothing.v1.json")


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_is_a_channel_with_its_settings(document: dict[str, Any], topic: Topic) -> None:
    """Name, key, clean-up and retention are those of the fact sheet."""
    [channel] = [channel for channel in document["channels"].values() if channel["address"] == f"billing.{topic.name}"]
    assert topic.key in channel["description"]
    binding = channel["bindings"]["kafka"]
    config = {
        name: ",".join(value) if isinstance(value, list) else str(value)
        for name, value in binding["topicConfiguration"].items()
    }
    assert config == topic_config(topic)
    assert binding.get("partitions") == topic.partitions


def test_every_message_is_on_the_channel_of_its_topic(document: dict[str, Any]) -> None:
    """All of them, each once, with its key described and its payload's schema."""
    placed = {(channel["address"], name) for channel in document["channels"].values() for name in channel["messages"]}
    assert placed == {(f"billing.{message.topic.name}", message.name) for message in MESSAGES}
    for message in MESSAGES:
        described = document["components"]["messages"][message.name]
        assert described["bindings"]["kafka"]["key"]["description"] == (message.key or message.topic.key)
        schema = _resolve(document, described["payload"]["schema"]["$ref"])
        assert schema["title"] == message.model.__name__


def test_every_channel_has_one_operation(document: dict[str, Any]) -> None:
    """Apps write counters, this product writes all else; an operation's messages are those of its channel."""
    operations = document["operations"].values()
    assert {operation["channel"]["$ref"] for operation in operations} == {
        f"#/channels/{name}" for name in document["channels"]
    }
    assert len(operations) == len(TOPICS)
    for operation in operations:
        channel = operation["channel"]["$ref"]
        assert (operation["action"] == "receive") == channel.endswith("usage_v1")
        names = {reference["$ref"] for reference in operation["messages"]}
        assert names == {f"{channel}/messages/{name}" for name in _resolve(document, channel)["messages"]}


def test_the_headers_are_those_of_cloudevents_in_binary_mode(document: dict[str, Any]) -> None:
    """Its four required attributes and the time, prefixed as the Kafka binding says."""
    headers = document["components"]["messageTraits"]["cloudEvent"]["headers"]["properties"]
    assert {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type", "traceparent"} == set(headers)
