"""`fusion-billing publish`: a file of counters, on Kafka or not at all."""

import json
from typing import Annotated, Literal

import typer

from producers.publish import PublishOptions, PublishStopped, publish_file
from producers.usage_files import FileFormat
from schemas.settings import load

app = typer.Typer()

OnError = Literal["stop", "skip"]


@app.command()
def publish(
    file: Annotated[str, typer.Argument(help="JSON lines or CSV of counters; - reads standard input")],
    service: Annotated[str, typer.Option(envvar="FUSION_SERVICE", help="code of the app the counters belong to")],
    file_format: Annotated[FileFormat | None, typer.Option("--format", help="default: by name or content")] = None,
    on_error: Annotated[OnError, typer.Option(help="at a bad line: stop before anything is sent, or skip it")] = "stop",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Publish a file of counters and return once Kafka holds them all; publishing it again is safe.

    Example: fusion-billing publish usage.csv --service nexamaps
    """
    try:
        result = publish_file(file, load(), service, PublishOptions(format=file_format, on_error=on_error))
    except PublishStopped as stopped:
        typer.echo(str(stopped), err=True)
        result = stopped.result
    for error in result.errors:
        typer.echo(str(error), err=True)
    if result.ignored_fields:
        typer.echo(f"fields that mean nothing here were ignored: {', '.join(result.ignored_fields)}", err=True)
    if as_json:
        typer.echo(json.dumps({"counters": result.counters, "bad_lines": result.bad_lines}))
    else:
        rate = f"{result.counters_per_s:,.0f}/s"
        typer.echo(f"{result.counters:,} counters published ({rate}), {result.bad_lines} bad lines")
    if result.bad_lines or result.counters == 0:
        raise typer.Exit(1)
