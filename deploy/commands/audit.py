"""`fusion-billing audit`: is what has been published, and what Odoo holds, what the usage log says?"""

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.adapters.odoo import OdooRpcTransport
from deploy.commands.progress import reading
from schemas.odoo_rpc import OdooBilling
from schemas.settings import load
from streams.audit.judging import Outcome, Report, Where, as_document
from streams.audit.run import Scope, audit

app = typer.Typer()

_DIFFERENCE = 3
_SHOWN_MAX = 50


@app.command("audit")
def run(
    partition: Annotated[list[int] | None, typer.Option(help="only this one; may be repeated")] = None,
    odoo: Annotated[bool, typer.Option("--odoo/--no-odoo", help="compare with lines.v1 and Odoo, too")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Replay the usage log into a fresh store and compare every total, overage and line with it.

    Nothing is changed anywhere. The pipeline may be running: what is on its way is "pending", not drift.
    Exit code 3 if there is drift.

    Example: fusion-billing audit --partition 0 --no-odoo
    """
    settings = load()
    billing = OdooBilling(OdooRpcTransport(settings)) if odoo else None
    with reading() as progress:
        report = asyncio.run(audit(settings, Scope(partition, with_lines=odoo, odoo=billing), progress))
    if as_json:
        typer.echo(json.dumps(as_document(report)))
    else:
        _print(report)
    if report.of(Outcome.DRIFT):
        raise typer.Exit(_DIFFERENCE)


def _print(report: Report) -> None:
    console = Console()
    counts = Table("compared with", "compared", *(outcome.value for outcome in Outcome))
    for where in Where:
        if report.count(where):
            cells = (str(report.count(where, outcome)) for outcome in Outcome)
            counts.add_row(where.value, str(report.count(where)), *cells)
    console.print(counts)
    for outcome in (Outcome.DRIFT, Outcome.PARKED, Outcome.PENDING, Outcome.BEYOND):
        findings = report.of(outcome)
        if not findings:
            continue
        table = Table("where", "key", "expected", "found", "why", title=f"{outcome.value}: {len(findings)}")
        for each in findings[:_SHOWN_MAX]:
            table.add_row(each.where.value, each.key, each.expected, each.found, each.why)
        console.print(table)
        if len(findings) > _SHOWN_MAX:
            console.print(f"… and {len(findings) - _SHOWN_MAX} more; --json lists all")
