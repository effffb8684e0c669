"""Webhook endpoints as the gateway takes and shows them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

_URL_CHARACTERS_MAX = 255
_EVENT_TYPES_MAX = 100


class EndpointRequest(BaseModel):
    """Where to send webhooks, and of what; no event types: of everything."""

    url: Annotated[str, Field(max_length=_URL_CHARACTERS_MAX, pattern=r"^https?://[!-~]+$")]
    event_types: Annotated[
        list[Annotated[str, Field(max_length=64, pattern=r"^[a-z_]+(\.[a-z_]+)+$")]], Field(max_length=_EVENT_TYPES_MAX)
    ] = []


class EndpointFacts(BaseModel):
    """An endpoint; its secret is shown only when it is made."""

    id: int
    url: str
    event_types: list[str]


class EndpointsAnswer(BaseModel):
    """The service's endpoints: at present one at most."""

    status: Literal["ok"] = "ok"
    webhook_endpoints: list[EndpointFacts]


class OneEndpointAnswer(BaseModel):
    """One endpoint, with its secret where that was made just now: it cannot be read again."""

    status: Literal["ok"] = "ok"
    webhook_endpoint: EndpointFacts
    secret: str | None = None


class NoEndpointAnswer(BaseModel):
    """The endpoint is gone."""

    status: Literal["ok"] = "ok"
