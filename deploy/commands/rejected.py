"""`fusion-billing rejected list|replay`: what the meter refused, and what of it would be accepted now."""

import json
from collections import Counter as Tally
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from producers.kafka_client.history import read_to_end
from producers.rejected import RejectedRecord, Selection, plan_replay, rejected_records, send_replay
from producers.sdk import UsageClient
from schemas.errors import Reason
from schemas.settings import Settings, load
from schemas.topics import REJECTED
from schemas.usage import Counter

app = typer.Typer(help="Input that the meter refused for ever.", no_args_is_help=True)

_FLUSH_TIMEOUT_S = 60

_ReasonOption = Annotated[Reason | None, typer.Option("--reason", help="only those refused for this reason")]


@app.command("list")
def list_rejected(
    reason: _ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, help="show at most so many, the newest")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document per line")] = False,
) -> None:
    """Show the newest refused records and count them by reason.

    Example: fusion-billing rejected list --reason bad_quantity
    """
    records = sorted(_read(load(), Selection(reason)), key=lambda record: record.time)
    if as_json:
        for record in records[-limit:]:
            typer.echo(json.dumps({"place": record.place, **record.rejected.model_dump(mode="json")}))
        return
    table = Table("place", "time", "source", "counter", "reason", "why")
    for record in records[-limit:]:
        rejected = record.rejected
        for refusal in rejected.refusals:
            counter = "all" if refusal.index is None else str(refusal.index)
            source = f"{rejected.partition}:{rejected.offset}"
            table.add_row(record.place, f"{record.time:%F %T}", source, counter, refusal.reason, refusal.message)
    console = Console()
    console.print(table)
    tally = Tally(refusal.reason.value for record in records for refusal in record.rejected.refusals)
    console.print(", ".join(f"{number} {name}" for name, number in tally.most_common()) or "nothing was refused")


@app.command()
def replay(
    places: Annotated[list[str] | None, typer.Argument(help="as `list` names them, partition:offset")] = None,
    reason: _ReasonOption = None,
    everything: Annotated[bool, typer.Option("--all", help="every refused record")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Publish refused counters again, as far as they would be accepted now; the good ones beside them are left alone.

    A counter that was sent again under its key meanwhile would be displaced by its old value: leave such records out.

    Example: fusion-billing rejected replay --reason negative_quantity
    """
    if not (places or reason or everything):
        raise typer.BadParameter("name places, a --reason, or --all")
    settings = load()
    planned = plan_replay(_read(settings, Selection(reason, frozenset(places or ()))))
    for record, why in planned.still_refused:
        typer.echo(f"{record.place}: still refused: {why}", err=True)
    count = sum(map(len, planned.counters.values()))
    if count and not yes:
        typer.confirm(f"publish {count} counters again?", abort=True)
    send_replay(planned, lambda service, counters: _publish(settings, service, counters))
    typer.echo(f"{count} counters published again, {len(planned.still_refused)} still refused")
    if planned.still_refused:
        raise typer.Exit(1)


def _read(settings: Settings, selection: Selection) -> list[RejectedRecord]:
    return list(rejected_records(read_to_end(settings, settings.topic(REJECTED)), selection))


def _publish(settings: Settings, service: str, counters: list[Counter]) -> None:
    with UsageClient(service, settings=settings) as client:
        for counter in counters:
            client.add_counter(counter)
        client.flush(timeout_s=_FLUSH_TIMEOUT_S)
