"""`fusion-billing webhooks …`: what became of deliveries, and what an operator can do about it."""

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from schemas.events import Delivery, DeliveryState, EndpointState
from schemas.periods import parse_instant
from schemas.settings import load
from sinks.webhooks.operator import Operator, Selection, event_time

app = typer.Typer(help="Webhook deliveries and their endpoints.", no_args_is_help=True)

_POLL_S = 0.3


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text}: an RFC 3339 time with offset is needed ({error})") from error


_Json = Annotated[bool, typer.Option("--json", help="print JSON")]
_Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
_Endpoint = Annotated[int | None, typer.Option("--endpoint", help="only this endpoint")]
_Service = Annotated[str | None, typer.Option("--service", help="only this service's")]
_States = Annotated[list[DeliveryState] | None, typer.Option("--state", help="only these states; may be repeated")]
_Since = Annotated[datetime | None, typer.Option("--since", parser=_instant, help="events at or after this time")]
_Until = Annotated[datetime | None, typer.Option("--until", parser=_instant, help="events before this time")]
_EndpointArgument = Annotated[int, typer.Argument(help="the endpoint's number, as `list` shows it")]


@app.command("list")
def list_deliveries(  # noqa: PLR0913, PLR0917 -- each is an option of the command
    states: _States = None,
    endpoint: _Endpoint = None,
    service: _Service = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=1, help="show at most so many, the newest events")] = 50,
    as_json: _Json = False,
) -> None:
    """Show deliveries and count them by state.

    Example: fusion-billing webhooks list --state dead --since 2026-07-01T00:00:00Z
    """
    selection = Selection(frozenset(), endpoint, service, frozenset(states or ()), since, until)
    with Operator(load()) as operator:
        found = operator.deliveries(selection)
    if as_json:
        for delivery in found[-limit:]:
            typer.echo(json.dumps(_facts(delivery)))
        return
    table = Table(
        "event", "type", "time", "subscription", "endpoint", "state", "attempts", "last answer", "next attempt"
    )
    for delivery in found[-limit:]:
        table.add_row(*_row(delivery))
    console = Console()
    console.print(table)
    counts = {state: sum(one.state is state for one in found) for state in DeliveryState}
    console.print(", ".join(f"{count} {state}" for state, count in counts.items()))


@app.command()
def show(event_id: Annotated[str, typer.Argument(help="the event's id")], as_json: _Json = False) -> None:
    """Show all deliveries of an event, each with its endpoint and its body; exit code 1 if there is none.

    Example: fusion-billing webhooks show 6d7f2a3e-…
    """
    with Operator(load()) as operator:
        found = operator.deliveries(Selection(frozenset({event_id})))
        documents = [_facts(one) | {"body": one.body, "endpoint": _endpoint_facts(operator, one)} for one in found]
    if as_json:
        typer.echo(json.dumps(documents))
    else:
        for document in documents:
            Console().print_json(json.dumps(document))
    if not documents:
        typer.echo(f"no delivery of event {event_id}", err=True)
        raise typer.Exit(1)


@app.command()
def replay(  # noqa: PLR0913, PLR0917
    event_ids: Annotated[list[str] | None, typer.Argument(help="events, by id")] = None,
    endpoint: _Endpoint = None,
    service: _Service = None,
    states: _States = None,
    since: _Since = None,
    until: _Until = None,
    yes: _Yes = False,
) -> None:
    """Deliver again, with the same id and the same bytes: events by id, or a range of an endpoint or service.

    A range takes what is dead, unless --state says otherwise. What waits for its first attempt is left alone, so a
    repeated call changes nothing until the first one's work is done.

    Example: fusion-billing webhooks replay --endpoint 3 --since 2026-07-01T00:00:00Z --state delivered --state dead
    """
    if not event_ids and endpoint is None and service is None:
        raise typer.BadParameter("name events, an --endpoint, or a --service")
    wanted = frozenset(states or ()) or (frozenset() if event_ids else frozenset({DeliveryState.DEAD}))
    with Operator(load()) as operator:
        chosen = operator.replayable(Selection(frozenset(event_ids or ()), endpoint, service, wanted, since, until))
        if chosen and not yes:
            typer.confirm(f"deliver {len(chosen)} times again?", abort=True)
        operator.replay(chosen, datetime.now(UTC))
    typer.echo(f"{len(chosen)} deliveries begin anew")


@app.command()
def disable(
    endpoint: _EndpointArgument,
    reason: Annotated[str, typer.Option(help="for those who look later")] = "by an operator",
    yes: _Yes = False,
) -> None:
    """Send nothing more to an endpoint; its deliveries wait, for five days at most, then they are dead (replayable).

    Example: fusion-billing webhooks disable 3 --reason "moves to another host"
    """
    if not yes:
        typer.confirm(f"send nothing more to endpoint {endpoint}?", abort=True)
    with Operator(load()) as operator:
        operator.set_state(endpoint, EndpointState.DISABLED, reason, datetime.now(UTC))
    typer.echo(f"endpoint {endpoint} is disabled")


@app.command()
def enable(endpoint: _EndpointArgument) -> None:
    """Send to an endpoint again, whoever disabled it; what waits goes out at the endpoint's rate.

    Example: fusion-billing webhooks enable 3
    """
    with Operator(load()) as operator:
        operator.set_state(endpoint, EndpointState.ACTIVE, "enabled by an operator", datetime.now(UTC))
    typer.echo(f"endpoint {endpoint} is enabled")


@app.command("test")
def send_test(
    endpoint: _EndpointArgument,
    wait_s: Annotated[float, typer.Option(min=0, help="wait so long for the answer")] = 30.0,
    as_json: _Json = False,
) -> None:
    """Send a test event of type `webhook.test` to one endpoint, through the running sink, and show its answer.

    Exit code 1 if the first attempt was no success. Example: fusion-billing webhooks test 3
    """
    with Operator(load()) as operator:
        try:
            key = operator.send_test(endpoint, f"test_{uuid.uuid4()}", datetime.now(UTC))
        except KeyError:
            raise typer.BadParameter(f"the catalog knows no endpoint {endpoint}") from None
        delivery = _first_answer(operator, key, wait_s)
    if as_json:
        typer.echo(json.dumps(None if delivery is None else _facts(delivery)))
    elif delivery is None or delivery.attempts == 0:
        typer.echo(f"no attempt within {wait_s:g} s: is the webhook sink running, and the endpoint enabled?")
    else:
        typer.echo(f"{delivery.state}: {_answer(delivery)}")
    if delivery is None or delivery.state is not DeliveryState.DELIVERED:
        raise typer.Exit(1)


def _first_answer(operator: Operator, key: str, wait_s: float) -> Delivery | None:
    deadline_s = time.monotonic() + wait_s
    while True:
        operator.refresh()
        delivery = operator.delivery(key)
        if (delivery is not None and delivery.attempts > 0) or time.monotonic() >= deadline_s:
            return delivery
        time.sleep(_POLL_S)


def _facts(delivery: Delivery) -> dict[str, Any]:
    return delivery.model_dump(mode="json", exclude={"body"})


def _endpoint_facts(operator: Operator, delivery: Delivery) -> dict[str, Any]:
    """Return what is known of the endpoint, but not its URL, which may carry a token."""
    endpoint, status = operator.directory.get(delivery.endpoint_id), operator.status(delivery.endpoint_id)
    return {
        "id": delivery.endpoint_id,
        "known": endpoint is not None,
        "active": endpoint is not None and endpoint.active,
        "status": None if status is None else status.model_dump(mode="json", exclude={"endpoint_id", "url_digest"}),
    }


def _row(delivery: Delivery) -> list[str]:
    next_attempt = delivery.next_attempt_at
    return [
        delivery.event_id,
        delivery.event_type,
        f"{event_time(delivery):%F %T}",
        delivery.subscription or "",
        str(delivery.endpoint_id),
        delivery.state.value,
        str(delivery.attempts),
        _answer(delivery),
        "" if next_attempt is None else f"{next_attempt:%F %T}",
    ]


def _answer(delivery: Delivery) -> str:
    return delivery.last_error or ("" if delivery.last_status is None else str(delivery.last_status))
