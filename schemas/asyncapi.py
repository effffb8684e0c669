"""One AsyncAPI 3.0 document of all topics, made from the fact sheets and the message models. Pure."""

from typing import Any

from schemas.messages import MESSAGES, Message
from schemas.settings import Settings
from schemas.topics import TOPICS, USAGE, Topic, topic_config

BINDING_VERSION = "0.5.0"
SCHEMA_FORMAT = "application/schema+json;version=2020-12"


def document() -> dict[str, Any]:
    """Return the document; payloads refer to the JSON Schemas beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "fusion-billing",
            "version": "1.0.0",
            "description": (
                "Usage counters in, rated overage and lifecycle events out. Names are those of the default prefix"
                f" (`{_prefix()}`). Readers ignore fields they do not know. Decimals are strings, times UTC with Z."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_name(topic): _channel(topic) for topic in TOPICS},
        "operations": {_operation_name(topic): _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {message.name: _message(message) for message in MESSAGES},
            "messageTraits": {"cloudEvent": _cloud_event()},
        },
    }


def _prefix() -> str:
    return str(Settings.model_fields["topic_prefix"].default)


def _name(topic: Topic) -> str:
    """Return a channel's id; the tools allow no dots in it."""
    return topic.name.replace(".", "_")


def _messages(topic: Topic) -> list[Message]:
    return [message for message in MESSAGES if message.topic is topic]


def _channel(topic: Topic) -> dict[str, Any]:
    removal = " A null value removes the key." if topic.cleanup == "compact" else ""
    return {
        "address": _prefix() + topic.name,
        "title": topic.purpose,
        "description": f"Key: {topic.key}.{removal}",
        "messages": {message.name: _ref("components", "messages", message.name) for message in _messages(topic)},
        "bindings": {"kafka": _binding(topic)},
    }


def _binding(topic: Topic) -> dict[str, Any]:
    """Return the topic's settings in the binding's types; what it does not know stays text, as brokers take it."""
    config: dict[str, Any] = dict(topic_config(topic))
    config["cleanup.policy"] = config["cleanup.policy"].split(",")
    config |= {name: int(config[name]) for name in ("retention.ms", "max.message.bytes") if name in config}
    partitions = {} if topic.partitions is None else {"partitions": topic.partitions}
    return {**partitions, "topicConfiguration": config, "bindingVersion": BINDING_VERSION}


def _operation_name(topic: Topic) -> str:
    return f"{_action(topic)}_{_name(topic)}"


def _action(topic: Topic) -> str:
    """Return what this product does with the topic, seen by others: apps write counters, all else is ours to write."""
    return "receive" if topic is USAGE else "send"


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": _action(topic),
        "channel": _ref("channels", _name(topic)),
        "messages": [_ref("channels", _name(topic), "messages", message.name) for message in _messages(topic)],
    }


def _message(message: Message) -> dict[str, Any]:
    described = {
        "name": message.name,
        "title": (message.model.__doc__ or message.name).partition("\n")[0],
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": message.file_name}},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": message.key or message.topic.key},
                "bindingVersion": BINDING_VERSION,
            }
        },
    }
    if message.event_type is None:
        return described
    return described | {
        "description": f"CloudEvents type, where the headers are set: `{message.event_type}`.",
        "traits": [_ref("components", "messageTraits", "cloudEvent")],
    }


def _cloud_event() -> dict[str, Any]:
    """Return the headers of CloudEvents' Kafka binding in binary mode; a record of any other client may lack them."""
    text = {"type": "string"}
    return {
        "headers": {
            "type": "object",
            "properties": {
                "ce_specversion": text | {"const": "1.0"},
                "ce_id": text | {"description": "unique per source; the event's own id where it has one"},
                "ce_type": text | {"description": "what happened"},
                "ce_source": text | {"description": "who wrote the record", "format": "uri-reference"},
                "ce_time": text | {"description": "RFC 3339", "format": "date-time"},
                "content-type": text | {"const": "application/json"},
                "traceparent": text | {"description": "W3C trace context, passed through"},
            },
        }
    }


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}
