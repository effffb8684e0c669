"""Every message on every topic, and its JSON Schema. Pure."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from schemas import catalog, cloudevents
from schemas.derived import Line, Overage, Total
from schemas.events import Delivery, EndpointStatus, LifecycleEvent, Rejected
from schemas.topics import CATALOG, DELIVERIES, EVENTS, LINES, OVERAGE, REJECTED, TOTALS, USAGE, Topic
from schemas.usage import UsageBatch

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of record: its name in files and documents, its version, its model and the topic that carries it.

    `key` is its key where that is not the topic's usual one.
    `event_type` is the CloudEvents type in its headers, where its writers set them; a text in angle brackets is a
    field of the record.
    """

    name: str
    model: type[BaseModel]
    topic: Topic
    key: str | None = None
    event_type: str | None = None
    version: int = 1

    @property
    def file_name(self) -> str:
        """Name of its JSON Schema."""
        return f"{self.name}.v{self.version}.json"


MESSAGES = (
    Message("usage_batch", UsageBatch, USAGE, event_type=cloudevents.USAGE_TYPE),
    Message("rejected", Rejected, REJECTED, event_type=cloudevents.REJECTED_TYPE),
    Message("catalog_service", catalog.Service, CATALOG),
    Message("catalog_metric", catalog.Metric, CATALOG),
    Message("catalog_charge", catalog.Charge, CATALOG),
    Message("catalog_plan", catalog.Plan, CATALOG),
    Message("catalog_account_link", catalog.AccountLink, CATALOG),
    Message("catalog_subscription", catalog.Subscription, CATALOG),
    Message("catalog_endpoint", catalog.Endpoint, CATALOG),
    Message("total", Total, TOTALS, event_type=cloudevents.TOTAL_TYPE),
    Message("overage", Overage, OVERAGE, event_type=cloudevents.OVERAGE_TYPE),
    Message("line", Line, LINES, event_type=cloudevents.LINE_TYPE),
    Message("lifecycle_event", LifecycleEvent, EVENTS, event_type="<type>"),
    Message("delivery", Delivery, DELIVERIES, event_type=cloudevents.DELIVERY_TYPE),
    Message("endpoint_status", EndpointStatus, DELIVERIES, key=":endpoint"),
)
"""Every message on every topic, in the order of the topics."""


def json_schema(message: Message) -> dict[str, Any]:
    """Return the JSON Schema of a message: what a reader accepts."""
    schema = message.model.model_json_schema(mode="validation")
    return {"$schema": DIALECT, "$id": f"urn:fusion-billing:{message.name}:{message.version}", **schema}
