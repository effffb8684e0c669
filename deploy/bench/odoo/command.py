"""`fusion-billing bench odoo`: parses, calls, prints."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.local.commands import reporting
from deploy.local.progress import Progress

app = typer.Typer()

GOALS = {
    "created_lines_per_second": "at least 250",
    "updated_lines_per_second": "at least 400",
    "unchanged_rows_per_second": "at least 15,000",
    "unchanged_newer_rows_per_second": "beside it, harder: newer versions, each decided by Odoo",
    "unchanged_unknown_rows_per_second": "beside it, hardest: to a sink that knows nothing",
    "customer_upserts_per_second": "at least 20",
    "feed_lag_p99_seconds": "at most 5",
    "verified": "1",
}


@app.command()
def odoo(
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="small: shows that it works, figures mean little")] = False,
    lines: Annotated[int | None, typer.Option(min=20, help="subscriptions with a line each; default 3,000")] = None,
) -> None:
    """Measure the Odoo sink, the gateway's customers and the feed on a fresh Odoo; every line is read back.

    Example: fusion-billing bench odoo --json
    """
    from dataclasses import replace  # noqa: PLC0415 -- a command loads only what it needs

    from deploy.bench.common.broker import bench_broker  # noqa: PLC0415
    from deploy.bench.common.stopping import ends_in_order  # noqa: PLC0415
    from deploy.bench.odoo.measure import Plan, measure  # noqa: PLC0415
    from deploy.bench.odoo.scenario import Scenario  # noqa: PLC0415
    from deploy.bench.odoo.server import bench_odoo  # noqa: PLC0415

    plan = Plan.quick() if quick else Plan()
    plan = replace(plan, lines=lines or plan.lines)
    progress = Progress()
    with (
        reporting(),
        ends_in_order(),
        tempfile.TemporaryDirectory(prefix="fusion-bench-") as name,
        bench_broker(progress) as broker,
        bench_odoo(Path(name), progress) as server,
    ):
        found = measure(plan, Scenario.create(broker, server, Path(name)), progress)
        places = {
            "prefix": broker.prefix,
            "database": server.admin.database,
            "broker_is_tuned_down": broker.is_tuned_down,
            "database_is_tuned_down": server.is_tuned_down,
        }
    figures: dict[str, Any] = found.figures | {"verified": int(not found.faults)}
    figures["detail"] = found.detail | {"lines": plan.lines, "faults": found.faults} | places
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        _print(figures)
    if found.faults:
        raise typer.Exit(1)


def _print(figures: dict[str, Any]) -> None:
    table = Table("figure", "value", "goal")
    for figure, goal in GOALS.items():
        table.add_row(figure, f"{figures[figure]:,}", goal)
    console = Console()
    console.print(table)
    console.print_json(data=figures["detail"])
