"""The webhook endpoints as the catalog tells them."""

from collections.abc import Iterable

import structlog
from pydantic import ValidationError

from schemas.catalog import Endpoint
from schemas.events import LifecycleEvent
from sinks import metrics
from sinks.kafka_client import Record

log = structlog.get_logger()

_KIND = "endpoint"


class Directory:
    """Endpoints by id. Written by one thread, read by any: each change replaces one entry."""

    def __init__(self) -> None:
        self._endpoints: dict[int, Endpoint] = {}

    def apply(self, records: Iterable[Record]) -> None:
        """Take in catalog records; other kinds are passed over, an unreadable endpoint keeps its last good state."""
        for record in records:
            kind, _, number = (record.key or b"").decode(errors="replace").partition("/")
            if kind != _KIND or not number.isdecimal():
                continue
            if record.value is None:
                self._endpoints.pop(int(number), None)
                continue
            try:
                self._endpoints[int(number)] = Endpoint.model_validate_json(record.value)
            except ValidationError as error:
                metrics.WEBHOOK_SKIPPED.labels("catalog").inc()
                log.error("webhook.endpoint_unreadable", endpoint=int(number), errors=error.error_count())  # noqa: TRY400

    def get(self, endpoint_id: int) -> Endpoint | None:
        """Return an endpoint, active or not; null for one that is unknown or gone."""
        return self._endpoints.get(endpoint_id)

    def matching(self, event: LifecycleEvent) -> list[Endpoint]:
        """Return the active endpoints that want the event: of its service, and of its type or of all."""
        return [
            endpoint
            for endpoint in list(self._endpoints.values())
            if endpoint.active
            and endpoint.service == event.service
            and (not endpoint.event_types or event.type in endpoint.event_types)
        ]
