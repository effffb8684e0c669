"""The routes of webhook endpoints: where the calling service is told what happens to its subscriptions."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from producers.gateway.endpoint_models import EndpointRequest, EndpointsAnswer, NoEndpointAnswer, OneEndpointAnswer
from producers.gateway.errors import Detail, conflict, invalid, not_found
from producers.gateway.json_body import parse_object, read_body
from producers.gateway.openapi import request_body
from producers.gateway.ports import CallingService, GivenPorts, Ports
from producers.gateway.responses import CHANGE_ANSWERS, LOOK_ANSWERS
from producers.gateway.validation import checked

router = APIRouter(prefix="/api/billing/v1/webhook-endpoints", tags=["webhook endpoints"])

EndpointId = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("", responses=LOOK_ANSWERS)
async def list_endpoints(service: CallingService, ports: GivenPorts) -> EndpointsAnswer:
    """List the service's webhook endpoints: one, or none."""
    found = await _endpoint(ports, service)
    return EndpointsAnswer(webhook_endpoints=[found] if found else [])


@router.post("", responses=CHANGE_ANSWERS, openapi_extra=request_body(EndpointRequest))
async def create_endpoint(request: Request, service: CallingService, ports: GivenPorts) -> OneEndpointAnswer:
    """Make the service's webhook endpoint; the answer shows its secret, this once. A service has one."""
    wanted = await _wanted(request, ports)
    if await _endpoint(ports, service):
        raise conflict("the service has an endpoint already: change or delete that one")
    return await _set(ports, service, wanted)


@router.put("/{endpoint_id}", responses=CHANGE_ANSWERS, openapi_extra=request_body(EndpointRequest))
async def change_endpoint(
    endpoint_id: EndpointId, request: Request, service: CallingService, ports: GivenPorts
) -> OneEndpointAnswer:
    """Replace address and event types; the secret stays."""
    wanted = await _wanted(request, ports)
    await _known(ports, service, endpoint_id)
    return await _set(ports, service, wanted)


@router.post("/{endpoint_id}/secret", responses=CHANGE_ANSWERS)
async def renew_secret(endpoint_id: EndpointId, service: CallingService, ports: GivenPorts) -> OneEndpointAnswer:
    """Make a new secret and show it, this once. The former one signs beside it for a while (a day, unless changed)."""
    await _known(ports, service, endpoint_id)
    return _shown(await ports.odoo.call(lambda odoo: odoo.renew_endpoint_secret(service)))


@router.delete("/{endpoint_id}", responses=CHANGE_ANSWERS)
async def delete_endpoint(endpoint_id: EndpointId, service: CallingService, ports: GivenPorts) -> NoEndpointAnswer:
    """Send no more webhooks."""
    await _known(ports, service, endpoint_id)
    await ports.odoo.call(lambda odoo: odoo.delete_endpoint(service))
    return NoEndpointAnswer()


async def _wanted(request: Request, ports: Ports) -> EndpointRequest:
    body = await read_body(request, ports.settings.gateway_body_bytes_max)
    return checked(EndpointRequest, parse_object(body))


async def _endpoint(ports: Ports, service: str) -> Any:
    answer: Any = await ports.odoo.call(lambda odoo: odoo.get_endpoint(service))
    return answer.get("endpoint")


async def _known(ports: Ports, service: str, endpoint_id: int) -> None:
    """Raise 404 unless the endpoint is the service's own."""
    found = await _endpoint(ports, service)
    if not found or found["id"] != endpoint_id:
        raise not_found("the service has no such webhook endpoint")


async def _set(ports: Ports, service: str, wanted: EndpointRequest) -> OneEndpointAnswer:
    return _shown(await ports.odoo.call(lambda odoo: odoo.set_endpoint(service, wanted.url, wanted.event_types)))


def _shown(answer: Any) -> OneEndpointAnswer:
    """Return the endpoint, or raise 400 in Odoo's words: nothing was changed."""
    if answer["status"] != "ok":
        raise invalid([Detail(field=answer.get("field"), message=answer["error"])])
    return OneEndpointAnswer(webhook_endpoint=answer["endpoint"], secret=answer.get("secret"))
