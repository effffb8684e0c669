"""`fusion-billing bench store`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

app = typer.Typer()

_KEYS = 20_000_000
_KEYS_MIN = 2_000_000


@app.command()
def store(keys: Annotated[int, typer.Option(min=_KEYS_MIN, help="different keys in all partitions")] = _KEYS) -> None:
    """Fill the meter's stores in one process, without Kafka, and print how they grew, as one JSON object.

    Takes under a minute and some 1.5 GiB of memory.
    """
    from deploy.bench.store.growth import measure_growth  # noqa: PLC0415 -- a command loads only what it needs

    typer.echo(json.dumps(asdict(measure_growth(keys))))
