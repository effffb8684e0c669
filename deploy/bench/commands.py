"""`fusion-billing bench …`: parses, calls, prints; one JSON object or tables on stdout, progress on stderr."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.bench.meter.plan import PARTS, Plan
from deploy.bench.odoo.command import app as odoo_app
from deploy.bench.store.command import app as store_app
from deploy.bench.webhooks.command import app as webhooks_app
from deploy.local.commands import reporting
from deploy.local.progress import Progress
from deploy.local.settings import REPOSITORY

app = typer.Typer(help="Measure on the local stack's real servers; results are verified exactly.", no_args_is_help=True)

app.registered_commands += webhooks_app.registered_commands + odoo_app.registered_commands
app.registered_commands += store_app.registered_commands

_FULL_KEYS = 10_000_000


@app.callback()
def bench() -> None:
    """Measure on the local stack's real servers; results are verified exactly."""


@app.command()
def meter(  # noqa: PLR0913, PLR0917 -- each is an option of the command
    as_json: Annotated[bool, typer.Option("--json", help="print the headline figures as one JSON object")] = False,
    report: Annotated[Path | None, typer.Option(help="write all that was measured to this file, as JSON")] = None,
    counters: Annotated[int | None, typer.Option(min=4_000, help="counters in containers; default 2,000,000")] = None,
    peers: Annotated[bool, typer.Option(help="also run Bytewax and Kafka Streams on the same topics")] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="small and once: shows that it works, figures mean little")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="also fill a store with many keys; takes longer")] = False,
    full_keys: Annotated[int, typer.Option(min=2_000_000, help="how many keys --full fills")] = _FULL_KEYS,
    only: Annotated[
        list[str] | None, typer.Option(help=f"only containers and this, of {', '.join(PARTS)}; may be repeated")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="exit with 3 below tests/benchmarks/baselines.json")] = False,
) -> None:
    """Measure the meter and verify every sum, distinct count and amount; at most 10 minutes without --full.

    Example: fusion-billing bench meter --no-peers --json
    """
    from deploy.bench.common.broker import bench_broker  # noqa: PLC0415 -- a command loads only what it needs
    from deploy.bench.common.stopping import ends_in_order  # noqa: PLC0415
    from deploy.bench.meter import baselines  # noqa: PLC0415
    from deploy.bench.meter.result import HEADLINE  # noqa: PLC0415
    from deploy.bench.meter.run import Bench  # noqa: PLC0415

    if unknown := set(only or ()) - set(PARTS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: must be of {', '.join(PARTS)}", param_hint="--only")
    plan = Plan.quick(counters or 20_000, with_peers=peers) if quick else Plan(with_peers=peers)
    plan = replace(plan, counters=counters or plan.counters, full_keys=full_keys if full else 0)
    plan = replace(plan, parts=tuple(only) if only else plan.parts)
    progress = Progress()
    with (
        reporting(),
        ends_in_order(),
        tempfile.TemporaryDirectory(prefix="run-", dir=_scratch()) as folder,
        bench_broker(progress) as broker,
    ):
        result = Bench(plan, broker, Path(folder), progress).run()
    figures = result.as_json()
    missed = baselines.missed(figures)
    if report is not None:
        report.write_text(json.dumps(figures))
    if as_json:
        sizes = f"peak_rss_mib at {figures['peak_rss_keys']} keys, recovery_seconds at {figures['recovery_keys']}"
        typer.echo(sizes, err=True)
        typer.echo(json.dumps({name: figures[name] for name in HEADLINE}))
    else:
        result.print(Console())
        for line in missed:
            typer.echo(line, err=True)
    if not result.is_verified:
        raise typer.Exit(1)
    if check and missed:
        raise typer.Exit(3)


def _scratch() -> Path:
    """Beside the stack's data: /tmp may lie in memory, and snapshots must reach a disk."""
    folder = REPOSITORY / ".local" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
