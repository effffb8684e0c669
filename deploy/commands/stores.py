"""`fusion-billing rebuild`, `snapshots list|verify` and `waiting`: the meter's stores in a person's hands."""

import asyncio
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.commands.progress import reading
from schemas.money import format_decimal
from schemas.periods import format_instant
from schemas.settings import Settings, load
from streams.operations.rebuild import Plan, carry_out, idle_directory, plans
from streams.operations.waiting import Waiting
from streams.operations.waiting_run import all_waiting
from streams.store.snapshot_check import SnapshotFacts, snapshot_facts

app = typer.Typer()
snapshots_app = typer.Typer(help="The meter's saved stores below FUSION_METER_DATA_DIR.", no_args_is_help=True)
app.add_typer(snapshots_app, name="snapshots")

_JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document")]
_MEBIBYTE = 1 << 20


@app.command()
def rebuild(
    partition: Annotated[list[int] | None, typer.Option(help="of the usage topic; may be repeated")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every partition with snapshots here")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Let the meter make stores anew from the usage log at its next start; stop it first.

    The snapshots go aside and are deleted when the new store has been saved at least as far as they were. Totals do
    not change by this, unless they were wrong.

    Example: fusion-billing rebuild --partition 3
    """
    if bool(partition) == everything:
        raise typer.BadParameter("name each --partition, or --all")
    settings = load()
    with idle_directory(settings):
        made = asyncio.run(plans(settings, None if everything else partition))
        for plan in made:
            _show_plan(plan)
        if made and not yes:
            typer.confirm("go on?", abort=True)
        moved = carry_out(made)
    typer.echo(f"{len(moved)} snapshots put aside; start the meter, which replays the log")


def _show_plan(plan: Plan) -> None:
    size = sum(each.size_bytes for each in plan.snapshots) / _MEBIBYTE
    newest = max((each.offset for each in plan.snapshots), default=None)
    saved = "none" if newest is None else f"{len(plan.snapshots)}, {size:.1f} MiB, the newest at offset {newest}"
    typer.echo(f"partition {plan.partition}: snapshots {saved}; to replay: offsets {plan.first} to {plan.end - 1}")
    if plan.first:
        typer.echo("  the log no longer begins at 0: totals whose counters have left it stay as they are published")


@snapshots_app.command("list")
def list_snapshots(as_json: _JsonOption = False) -> None:
    """Show the snapshots by their headers.

    Example: fusion-billing snapshots list
    """
    _print_snapshots(list(snapshot_facts(load().meter_data_dir, whole=False)), as_json=as_json)


@snapshots_app.command()
def verify(as_json: _JsonOption = False) -> None:
    """Read every snapshot to its end and compare its checksum; exit code 1 if one is bad.

    A bad one does no harm: the meter passes it over and replays more of the log.

    Example: fusion-billing snapshots verify
    """
    facts = list(snapshot_facts(load().meter_data_dir, whole=True))
    _print_snapshots(facts, as_json=as_json)
    if any(each.problem for each in facts):
        raise typer.Exit(1)


def _print_snapshots(facts: list[SnapshotFacts], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_snapshot_document(each) for each in facts]))
        return
    table = Table("epoch", "partition", "offset", "rows", "aggregates", "MiB", "state")
    for each in facts:
        numbers = (each.epoch, each.partition, each.offset, each.rows, each.aggregates)
        state = ("aside, " if each.is_aside else "") + (each.problem or "ok")
        cells = ("" if number is None else str(number) for number in numbers)
        table.add_row(*cells, f"{each.size_bytes / _MEBIBYTE:.1f}", state)
    Console().print(table)


def _snapshot_document(facts: SnapshotFacts) -> dict[str, Any]:
    names = ("epoch", "partition", "offset", "is_aside", "size_bytes", "rows", "aggregates", "problem")
    return {"path": str(facts.path)} | {name: getattr(facts, name) for name in names}


@app.command()
def waiting(as_json: _JsonOption = False) -> None:
    """List usage that waits for the catalog: of an unknown subscription or metric, or without a charge.

    It is counted and kept, and rated as soon as the catalog knows more. Found by replaying the usage log.

    Example: fusion-billing waiting
    """
    with reading() as progress:
        found = asyncio.run(_collect(load(), progress))
    if as_json:
        typer.echo(json.dumps([_waiting_document(each) for each in found]))
        return
    table = Table("service", "subscription", "metric", "period", "counters", "total", "since", "missing")
    for each in found:
        period = "" if each.period_start is None else format_instant(each.period_start)
        numbers = (str(each.counters), format_decimal(each.total), f"{each.since:%F %T}")
        table.add_row(each.service, each.subscription, each.metric, period, *numbers, ", ".join(each.missing))
    Console().print(table if found else "nothing waits for the catalog")


async def _collect(settings: Settings, progress: Any) -> list[Waiting]:
    return [each async for each in all_waiting(settings, progress)]


def _waiting_document(each: Waiting) -> dict[str, Any]:
    return {
        "service": each.service,
        "subscription": each.subscription,
        "metric": each.metric,
        "period_start": None if each.period_start is None else format_instant(each.period_start),
        "counters": each.counters,
        "total": format_decimal(each.total),
        "since": format_instant(each.since),
        "missing": [missing.value for missing in each.missing],
    }
