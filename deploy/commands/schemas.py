"""`fusion-billing schemas …`: the generated contracts, for whoever changes a model."""

from pathlib import Path

import typer

from schemas import documents

app = typer.Typer(help="The generated contracts: JSON Schemas, AsyncAPI, settings.", no_args_is_help=True, hidden=True)


@app.command("write")
def write(root: Path = Path()) -> None:
    """Write the generated documents under the repository's root, and name those that changed.

    Example: fusion-billing schemas write
    """
    for path in documents.write(root):
        typer.echo(path)


@app.command("check")
def check(root: Path = Path()) -> None:
    """Name the documents that differ from the models; exit code 3 if there are any.

    Example: fusion-billing schemas check
    """
    differing = documents.differences(root)
    for path in differing:
        typer.echo(path)
    if differing:
        raise typer.Exit(3)
