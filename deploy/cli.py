"""The command `fusion-billing`: parses, calls, prints. Results on stdout, progress and logs on stderr.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 a difference was found.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from deploy import logs, rejected_commands, roles, webhooks_commands
from deploy.bench import commands as bench_commands
from deploy.local import commands as local
from producers.usage_files import FileFormat
from schemas import documents
from schemas.errors import BillingError, ConfigurationError
from schemas.settings import load

if TYPE_CHECKING:
    from producers.topics import TopicReport

app = typer.Typer(
    help="Usage billing: counters on Kafka in, overage lines in Odoo and signed webhooks out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
topics_app = typer.Typer(help="The topics this product works on.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
schemas_app = typer.Typer(help="The generated contracts: JSON Schemas, AsyncAPI, settings.", no_args_is_help=True)
app.add_typer(schemas_app, name="schemas", hidden=True)
app.add_typer(rejected_commands.app, name="rejected")
app.add_typer(webhooks_commands.app, name="webhooks")
app.add_typer(bench_commands.app, name="bench")
app.registered_commands += local.app.registered_commands

OnError = Literal["stop", "skip"]
_JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document")]


def main() -> None:
    """Run the command; what a person can mend is one sentence, not a trace."""
    logs.configure_for_person()
    try:
        app()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except BillingError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


@app.command(rich_help_panel="Roles")
def gateway() -> None:
    """Serve the HTTP API for apps.

    Example: FUSION_GATEWAY_PORT=8080 fusion-billing gateway
    """
    roles.run_gateway()


@app.command(rich_help_panel="Roles")
def meter() -> None:
    """Dedupe, aggregate and rate usage counters.

    Example: FUSION_METER_WORKER_ID=meter-0 FUSION_METER_DATA_DIR=/var/lib/fusion/meter-0 fusion-billing meter
    """
    roles.run_meter()


@app.command("odoo-feed", rich_help_panel="Roles")
def odoo_feed() -> None:
    """Bring Odoo's catalog and lifecycle events to Kafka.

    Example: FUSION_ODOO_URL=https://erp.example FUSION_ODOO_PASSWORD_FILE=/run/secrets/odoo fusion-billing odoo-feed
    """
    roles.run_odoo_feed()


@app.command("odoo-sink", rich_help_panel="Roles")
def odoo_sink() -> None:
    """Write rated overage to Odoo as order lines.

    Example: FUSION_ODOO_ROWS_PER_CALL=400 fusion-billing odoo-sink
    """
    roles.run_odoo_sink()


@app.command("webhook-sink", rich_help_panel="Roles")
def webhook_sink() -> None:
    """Deliver lifecycle events to the apps as signed webhooks.

    Example: FUSION_WEBHOOK_SCHEDULE=long fusion-billing webhook-sink
    """
    roles.run_webhook_sink()


@app.command()
def publish(
    file: Annotated[str, typer.Argument(help="JSON lines or CSV of counters; - reads standard input")],
    service: Annotated[str, typer.Option(envvar="FUSION_SERVICE", help="code of the app the counters belong to")],
    file_format: Annotated[FileFormat | None, typer.Option("--format", help="default: by name or content")] = None,
    on_error: Annotated[OnError, typer.Option(help="at a bad line: stop before anything is sent, or skip it")] = "stop",
    as_json: _JsonOption = False,
) -> None:
    """Publish a file of counters and return once Kafka holds them all; publishing it again is safe.

    Example: fusion-billing publish usage.csv --service nexamaps
    """
    from producers.publish import PublishOptions, PublishStopped, publish_file  # noqa: PLC0415

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


@app.command()
def demo() -> None:
    """Start everything and tell the story: counters in, a line, an invoice with HST, a failed payment, a webhook.

    Exit code 0 only if Odoo's own numbers agree. Example: ./deploy/demo
    """
    from deploy.local.demo import story  # noqa: PLC0415

    with local.reporting():
        stack = local.stack_of_settings()
        stack.up()
        if not story.show(stack, story.tell(stack)):
            raise typer.Exit(1)


@topics_app.command("apply")
def topics_apply(as_json: _JsonOption = False) -> None:
    """Create the topics and bring their settings up to date; a second run changes nothing.

    Example: FUSION_KAFKA_BOOTSTRAP=broker:9092 FUSION_TOPIC_REPLICATION=3 fusion-billing topics apply
    """
    from producers import topics  # noqa: PLC0415 -- a command loads only what it needs

    _print_topics(topics.apply(load()), as_json=as_json)


@topics_app.command("list")
def topics_list(as_json: _JsonOption = False) -> None:
    """Show the topics as the cluster has them.

    Example: fusion-billing topics list --json
    """
    from producers import topics  # noqa: PLC0415

    _print_topics(topics.list_topics(load()), as_json=as_json)


@schemas_app.command("write")
def schemas_write(root: Path = Path()) -> None:
    """Write the generated documents under the repository's root, and name those that changed.

    Example: fusion-billing schemas write
    """
    for path in documents.write(root):
        typer.echo(path)


@schemas_app.command("check")
def schemas_check(root: Path = Path()) -> None:
    """Name the documents that differ from the models; exit code 3 if there are any.

    Example: fusion-billing schemas check
    """
    differing = documents.differences(root)
    for path in differing:
        typer.echo(path)
    if differing:
        raise typer.Exit(3)


def _print_topics(reports: list["TopicReport"], *, as_json: bool) -> None:
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
