"""`fusion-billing parked list|retry`: rows that Odoo or the sink refused, and another try once a person has mended."""

import json
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.adapters.odoo import OdooRpcTransport
from schemas.derived import Line
from schemas.settings import load
from sinks.odoo.parked import parked_lines, retry

app = typer.Typer(help="Overage that Odoo refused, until a person mends the reason.", no_args_is_help=True)

_JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document per line")]


@app.command("list")
def list_parked(
    reason: Annotated[str | None, typer.Option(help="only those whose reason has these words")] = None,
    as_json: _JsonOption = False,
) -> None:
    """Show the parked rows, their reasons, and how many there are of each.

    In Odoo they are under Billing > Usage, filter Needs Attention.

    Example: fusion-billing parked list --reason "income account"
    """
    _print(_selected(reason), as_json=as_json)


@app.command("retry")
def retry_parked(
    keys: Annotated[list[str] | None, typer.Argument(help="as `list` names them")] = None,
    reason: Annotated[str | None, typer.Option(help="those whose reason has these words")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every parked row")] = False,
    as_json: _JsonOption = False,
) -> None:
    """Offer parked rows to Odoo again; exit code 1 if some are refused still. Safe beside running sinks.

    Example: fusion-billing parked retry --reason "income account"
    """
    if not (keys or reason or everything):
        raise typer.BadParameter("name keys, a --reason, or --all")
    parked = _selected(reason)
    wanted = {key: line for key, line in parked.items() if not keys or key in keys}
    for unknown in sorted(set(keys or ()) - wanted.keys()):
        typer.echo(f"{unknown}: is not parked", err=True)
    left = retry(load(), OdooRpcTransport, wanted.keys())
    _print(left, as_json=as_json)
    typer.echo(f"{len(wanted) - len(left)} rows written, {len(left)} still parked", err=True)
    if left:
        raise typer.Exit(1)


def _selected(reason: str | None) -> dict[str, Line]:
    parked = parked_lines(load())
    return {key: line for key, line in sorted(parked.items()) if not reason or reason in (line.error or "")}


def _print(lines: dict[str, Line], *, as_json: bool) -> None:
    if as_json:
        for line in lines.values():
            typer.echo(json.dumps(line.model_dump(mode="json")))
        return
    if not lines:
        return
    table = Table("key", "version", "why")
    for key, line in lines.items():
        table.add_row(key, ".".join(map(str, line.version)), line.error or "")
    console = Console()
    console.print(table)
    tally = Counter(line.error or "" for line in lines.values())
    console.print("\n".join(f"{number} rows: {error}" for error, number in tally.most_common(10)))
