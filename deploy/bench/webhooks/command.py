"""`fusion-billing bench webhooks`: parses, calls, prints."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.local.commands import reporting
from deploy.local.progress import Progress

if TYPE_CHECKING:
    from deploy.bench.webhooks import measure

app = typer.Typer()

_QUICK = {"endpoints": 10, "events": 50, "isolation_events": 20, "isolation_pairs": 1, "retries": 5_000}
_PARTS = ("speed", "isolation", "rebuild")


@app.command()
def webhooks(
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="small: shows that it works, figures mean little")] = False,
    workers: Annotated[int, typer.Option(min=1, max=8, help="processes of the sink")] = 2,
    only: Annotated[list[str] | None, typer.Option(help=f"only this, of {', '.join(_PARTS)}; repeatable")] = None,
) -> None:
    """Measure the webhook sink against receivers on loopback, each signature and each order verified.

    Example: fusion-billing bench webhooks --json
    """
    from deploy.bench.common.broker import bench_broker  # noqa: PLC0415 -- a command loads only what it needs
    from deploy.bench.common.stopping import ends_in_order  # noqa: PLC0415
    from deploy.bench.webhooks import measure  # noqa: PLC0415
    from deploy.bench.webhooks.scenario import Scenario, receivers  # noqa: PLC0415

    if unknown := set(only or ()) - set(_PARTS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: must be of {', '.join(_PARTS)}", param_hint="--only")
    plan = replace(measure.Plan(workers=workers), **(_QUICK if quick else {}))
    progress, found = Progress(), {}
    with (
        reporting(),
        ends_in_order(),
        tempfile.TemporaryDirectory(prefix="fusion-bench-") as name,
        bench_broker(progress) as broker,
        receivers(Path(name)) as receiving,
    ):
        for part, run in (("speed", measure.speed), ("isolation", measure.isolation), ("rebuild", measure.rebuild)):
            if not only or part in only:
                progress.say(f"webhooks: {part}")
                found[part] = run(plan, Scenario.create(broker, part, Path(name)), receiving)
        is_tuned_down = broker.is_tuned_down
    figures = {
        "deliveries_per_second": _figure(found, "speed"),
        "isolation_p99_ratio": _figure(found, "isolation"),
        "rebuild_seconds": _figure(found, "rebuild"),
        "peak_rss_mib": max((one.detail.get("rss_mib", 0.0) for one in found.values()), default=None),
        "verified": int(not any(one.wrong for one in found.values())),
        "detail": {part: one.detail | {"wrong": one.wrong} for part, one in found.items()}
        | {"workers": plan.workers, "broker_is_tuned_down": is_tuned_down},
    }
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        table = Table("figure", "value")
        for figure, value in figures.items():
            table.add_row(figure, str(value))
        Console().print(table)
    if not figures["verified"]:
        raise typer.Exit(1)


def _figure(found: dict[str, measure.Found], part: str) -> float | None:
    return round(found[part].figure, 3) if part in found else None
