"""`up`, `down` and `status` of the local stack, for the command line; the work is in `stack.py`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST
from deploy.local.settings import LocalSettings
from deploy.local.stack import PARTS, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

app = typer.Typer(help="A real Kafka, PostgreSQL and Odoo, and every role, on this machine.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One line of `status`; `pid` is null when the part does not run."""

    role: str
    pid: int | None
    address: str
    is_ready: bool


@app.command()
def up(
    roles: Annotated[bool, typer.Option(help="also start the roles, not only Kafka, PostgreSQL and Odoo")] = True,
) -> None:
    """Start whatever does not run yet and return once everything is ready; again and again if you like.

    Example: ./deploy/up && . .local/env && curl "$FUSION_GATEWAY_URL/api/billing/v1/health"
    """
    with reporting():
        stack = stack_of_settings()
        stack.up(with_roles=roles)
        _print_table(statuses(stack))
        stack.progress.say(f"ready; addresses and credentials are in {stack.layout.env_file}")


@app.command()
def demo() -> None:
    """Start everything and tell the story: counters in, a line, an invoice with HST, a failed payment, a webhook.

    Exit code 0 only if Odoo's own numbers agree. Example: ./deploy/demo
    """
    from deploy.local.demo import story  # noqa: PLC0415

    with reporting():
        stack = stack_of_settings()
        stack.up()
        if not story.show(stack, story.tell(stack)):
            raise typer.Exit(1)


@app.command()
def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="also delete all data; downloads stay")] = False,
) -> None:
    """Stop everything, roles first.

    Example: ./deploy/down --wipe
    """
    with reporting():
        stack = stack_of_settings()
        stopped = stack.down(wipe=wipe)
        stack.progress.say(f"stopped: {', '.join(stopped) or 'nothing was running'}{'; data deleted' if wipe else ''}")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON array instead of a table")] = False,
) -> None:
    """Show every process with its PID, address and health; exit code 1 unless all are ready."""
    with reporting():
        parts = statuses(stack_of_settings())
        if as_json:
            typer.echo(json.dumps([asdict(part) for part in parts], indent=1))
        else:
            _print_table(parts)
        if not all(part.is_ready for part in parts):
            raise typer.Exit(1)


def statuses(stack: Stack) -> list[PartStatus]:
    """What each part of the stack does right now, in the order of start."""
    addresses = {
        "kafka": stack.kafka.bootstrap,
        "postgres": f"{HOST}:{stack.ports.of('postgres')}",
        "odoo": stack.odoo.url,
        "gateway": stack.roles.gateway_url,
    }
    infrastructure: dict[str, Callable[[], bool]] = {
        "kafka": stack.kafka.is_ready,
        "postgres": stack.postgres.is_ready,
        "odoo": stack.odoo.is_ready,
    }
    parts = []
    for part in PARTS:
        pid = stack.processes.pid(part)
        is_ready = infrastructure.get(part, lambda part=part: stack.roles.is_ready(part))
        address = addresses.get(part) or f"http://{HOST}:{stack.roles.ops_port(part)}"
        parts.append(PartStatus(part, pid, address, is_ready=pid is not None and is_ready()))
    return parts


def stack_of_settings() -> Stack:
    """Return the stack that the `FUSION_LOCAL_…` settings describe."""
    return Stack.of(LocalSettings())


def _print_table(parts: Sequence[PartStatus]) -> None:
    table = Table("role", "pid", "address", "health")
    for part in parts:
        health = "[green]ready[/]" if part.is_ready else "[red]not ready[/]" if part.pid else "[red]stopped[/]"
        table.add_row(part.role, str(part.pid or ""), part.address, health)
    Console().print(table)


@contextmanager
def reporting() -> Iterator[None]:
    """Turn what a person can mend into one message and exit code 1, what was asked wrongly into 2."""
    try:
        yield
    except LocalStackError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        typer.echo(f"FUSION_LOCAL_{name}: {first['msg']}", err=True)
        raise typer.Exit(2) from error
