"""`fusion-billing topics …`: the topics this product works on."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from producers import topics
from producers.topics import TopicReport
from schemas.settings import load

app = typer.Typer(help="The topics this product works on.", no_args_is_help=True)

_JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document")]


@app.command("apply")
def apply(as_json: _JsonOption = False) -> None:
    """Create the topics and bring their settings up to date; a second run changes nothing.

    Example: FUSION_KAFKA_BOOTSTRAP=broker:9092 FUSION_TOPIC_REPLICATION=3 fusion-billing topics apply
    """
    _print_topics(topics.apply(load()), as_json=as_json)


@app.command("list")
def list_topics(as_json: _JsonOption = False) -> None:
    """Show the topics as the cluster has them.

    Example: fusion-billing topics list --json
    """
    _print_topics(topics.list_topics(load()), as_json=as_json)


def _print_topics(reports: list[TopicReport], *, as_json: bool) -> None:
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "topic": report.name,
                        "change": report.change,
                        "partitions": report.state.partitions if report.state else None,
                        "notes": report.notes,
                    }
                    for report in reports
                ]
            )
        )
    else:
        table = Table("topic", "partitions", "clean-up", "change", "notes")
        for report in reports:
            partitions = str(report.state.partitions) if report.state else "missing"
            cleanup = report.state.config.get("cleanup.policy", "") if report.state else ""
            table.add_row(report.name, partitions, cleanup, report.change or "", "; ".join(report.notes))
        Console().print(table)
    if any(report.change == "refused" for report in reports):
        raise typer.Exit(1)
