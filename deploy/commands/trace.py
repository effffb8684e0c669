"""`fusion-billing trace`: from a counter's key to its invoice, and from an overage or a line back to its counters."""

import asyncio
import json
import re
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.adapters.odoo import OdooRpcTransport
from deploy.commands.progress import reading
from schemas.odoo_rpc import OdooBilling
from schemas.settings import Settings, load
from streams.audit.reading import Books
from streams.audit.topics import Progress
from streams.operations.trace import Wanted
from streams.operations.trace_run import Trace

app = typer.Typer()

_DERIVED_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]*/.+/[a-z0-9][a-z0-9_.-]*/\d{4}-\d\d-\d\dT[0-9:.]+Z\Z")
_DIFFERENCE = 3
_SHOWN_MAX = 50


@app.command("trace")
def run(  # noqa: PLR0913, PLR0917 -- each is an option of the command
    keys: Annotated[list[str] | None, typer.Argument(help="idempotency keys, or keys of overage or totals")] = None,
    key: Annotated[list[str] | None, typer.Option(help="an idempotency key, whatever it looks like")] = None,
    line: Annotated[list[int] | None, typer.Option(help="id of an order line in Odoo")] = None,
    service: Annotated[str | None, typer.Option(help="only counters of this service")] = None,
    subscription: Annotated[str | None, typer.Option(help="… of this subscription: reads one partition only")] = None,
    metric: Annotated[str | None, typer.Option(help="… of this metric")] = None,
    odoo: Annotated[bool, typer.Option("--odoo/--no-odoo", help="ask Odoo for lines and invoices, too")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Tell what became of a counter, or what a total, overage or order line is made of.

    An idempotency key leads to each record that carried it, the value that counts, its total, overage, line and
    invoice. The key of an overage, or a line, leads back to the counters in it. Exit code 1 if nothing is found, 3 if
    counters do not come to their total.

    Examples:
    fusion-billing trace readme-1-0 --service nexamaps --subscription readme-1

    fusion-billing trace nexamaps/readme-1/api-calls/2026-11-01T00:00:00Z

    fusion-billing trace --line 42
    """
    if not (keys or key or line):
        raise typer.BadParameter("name idempotency keys, keys of overage, or a --line")
    backwards = [each for each in keys or () if _DERIVED_KEY.match(each)]
    names = [*(each for each in keys or () if each not in backwards), *(key or ())]
    wanted = [Wanted(name, service, subscription, metric) for name in names]
    settings = load()
    with reading() as progress:
        found = asyncio.run(_trace(settings, progress, wanted, backwards, line or [], with_odoo=odoo))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _print(found)
    if any(not each.get("counters") for each in found):
        raise typer.Exit(1)
    if any(not each.get("equal", True) for each in found):
        raise typer.Exit(_DIFFERENCE)


async def _trace(
    settings: Settings,
    progress: Progress,
    wanted: list[Wanted],
    backwards: list[str],
    lines: list[int],
    *,
    with_odoo: bool,
) -> list[dict[str, Any]]:
    books = Books(settings, progress)
    trace = Trace(books, OdooBilling(OdooRpcTransport(settings)) if with_odoo else None)
    try:
        return [
            *[await trace.counter(each) for each in wanted],
            *[await trace.derived(each) for each in backwards],
            *[await trace.line(each) for each in lines],
        ]
    finally:
        await books.close()


def _print(found: list[dict[str, Any]]) -> None:
    console = Console()
    for answer in found:
        if "comes_to" in answer:
            _print_derived(console, answer)
        elif not answer["counters"]:
            console.print(f"no record of partitions {answer['searched_partitions']} carries it")
        for counter in answer["counters"] if "comes_to" not in answer else ():
            named = f"{counter['service']}/{counter['subscription']}/{counter['metric']}, key {counter['key']}"
            _print_values(console, named, counter["values"])
            if counter["waits_for_catalog"]:
                console.print("it waits: the catalog does not know its subscription's periods yet")
            _print_effects(console, counter)


def _print_derived(console: Console, answer: dict[str, Any]) -> None:
    counters = answer["counters"]
    _print_values(console, f"{answer['key']}: {len(counters)} counters as of {answer['as_of']}", counters)
    if answer["displaced"]:
        _print_values(console, "in its period, but not counted", answer["displaced"])
    sign = "=" if answer["equal"] else "≠"
    total = answer["total"]
    console.print(f"{len(counters)} counters come to {answer['comes_to']} {sign} {total['quantity']}, the total")
    _print_effects(console, answer)


def _print_values(console: Console, title: str, values: list[dict[str, Any]]) -> None:
    table = Table("place in usage.v1", "time", "key", "quantity", "start", "revision", "fate", title=title)
    for each in values[:_SHOWN_MAX]:
        numbers = (str(each.get(name, "")) for name in ("quantity", "period_start", "revision"))
        table.add_row(each["place"], each["time"], each["key"], *numbers, f"{each['fate']} {each['by']}".strip())
    console.print(table)
    if len(values) > _SHOWN_MAX:
        console.print(f"… and {len(values) - _SHOWN_MAX} more; --json lists all")


def _print_effects(console: Console, answer: dict[str, Any]) -> None:
    total = answer.get("total")
    if not total:
        return
    console.print(f"total {total['key']}: {total['aggregation']} {total['quantity']} of {total['counters']} counters")
    for overage in answer["overages"]:
        console.print(f"overage {overage['key']}: {overage['amount']} {overage['currency']}")
        line, held = overage["line"], overage["odoo"]
        if line is not None:
            error = f": {line['error']}" if line["error"] else ""
            console.print(f"  lines.v1: {line['status']}, {line['amount']} {line['currency']}{error}")
        for each in held["lines"] if held else ():
            console.print(f"  Odoo: line {each['id']} of {each['order']}, revision {each['revision']}: {each['shown']}")
            for invoice in each["invoices"]:
                number = invoice["number"] or f"draft {invoice['id']}"
                state = f"{invoice['state']}, {invoice['payment_state']}"
                console.print(f"    {invoice['type']} {number} ({state}): {invoice['amount']}")
