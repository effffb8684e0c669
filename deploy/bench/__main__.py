"""`python -m deploy.bench meter`: the same as `fusion-billing bench meter`."""

from __future__ import annotations

from deploy.bench.commands import app

if __name__ == "__main__":
    app()
